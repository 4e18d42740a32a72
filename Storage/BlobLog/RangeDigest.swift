// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// The hash of a part of a file, for comparing with a file that is far away.
package enum RangeDigest {
    private static let pieceBytes = 1 << 20

    /// - Throws: `ENODATA` where the file is shorter.
    package static func compute(_ file: any VolumeFile, _ range: Range<UInt64>) throws(SystemError) -> [UInt8] {
        let hash = BLAKE3()
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 4096)
        defer { memory.deallocate() }
        var offset = range.lowerBound
        while offset < range.upperBound {
            let wanted = Int(min(UInt64(pieceBytes), range.upperBound - offset))
            let piece = UnsafeMutableRawBufferPointer(rebasing: memory[..<wanted])
            guard try file.read(into: piece, at: offset) == wanted else {
                throw SystemError("read", file.path, code: ENODATA)
            }
            hash.update(UnsafeRawBufferPointer(piece))
            offset += UInt64(wanted)
        }
        return hash.finish()
    }
}

// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Files of a backup, each step of which is on the device before the next begins.
enum DurableFile {
    static let pieceBytes = 4 << 20

    static func synchronizeDirectory(_ path: String) throws(SystemError) {
        try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY).synchronize()
    }

    /// Replaces a small file whole or not at all.
    static func replace(_ path: String, with bytes: [UInt8], mode: mode_t = 0o640) throws(SystemError) {
        let part = path + ".part"
        unlink(part)
        let file = try FileDescriptor.open(part, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
        try bytes.withRawBytes { bytes throws(SystemError) in try file.write(bytes, at: 0) }
        try file.synchronize()
        try move(part, to: path)
    }

    /// Gives a file that was synced its final name.
    static func move(_ part: String, to path: String) throws(SystemError) {
        try retryingInterrupts("rename", path) { rename(part, path) }
        try synchronizeDirectory(FileSystem.parent(of: path))
    }

    /// Appends a range of `source` to `target` at the same place. What the device cannot give becomes zeros.
    /// - Returns: how many bytes there were, and how many of them could not be read.
    static func copy(
        _ source: FileDescriptor, _ range: Range<UInt64>, to target: FileDescriptor
    ) throws(SystemError) -> (bytes: UInt64, unreadable: UInt64) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 4096)
        defer { memory.deallocate() }
        var offset = range.lowerBound
        var unreadable: UInt64 = 0
        while offset < range.upperBound {
            let wanted = Int(min(UInt64(pieceBytes), range.upperBound - offset))
            let piece = UnsafeMutableRawBufferPointer(rebasing: memory[..<wanted])
            var count = wanted
            do throws(SystemError) { count = try source.read(into: piece, at: offset) } catch {
                guard error.code == EIO else { throw error }
                unreadable += try readPages(source, into: piece, at: offset)
            }
            guard count > 0 else { break }
            try target.write(UnsafeRawBufferPointer(rebasing: memory[..<count]), at: offset)
            offset += UInt64(count)
        }
        return (offset - range.lowerBound, unreadable)
    }

    private static func readPages(
        _ source: FileDescriptor, into piece: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(SystemError) -> UInt64 {
        var unreadable: UInt64 = 0
        for start in stride(from: 0, to: piece.count, by: 4096) {
            let page = UnsafeMutableRawBufferPointer(rebasing: piece[start..<min(start + 4096, piece.count)])
            do throws(SystemError) { _ = try source.read(into: page, at: offset + UInt64(start)) } catch {
                guard error.code == EIO else { throw error }
                memset(page.baseAddress!, 0, page.count)
                unreadable += UInt64(page.count)
            }
        }
        return unreadable
    }

    /// Waits until the file is on the device, and forgets it, so that what is read next comes from there.
    static func settle(_ file: FileDescriptor) throws(SystemError) {
        try file.synchronize()
        posix_fadvise(file.raw, 0, 0, POSIX_FADV_DONTNEED)
    }

    /// Whether two files hold the same bytes up to `length`.
    static func isSame(_ left: String, _ right: String, length: UInt64) throws(SystemError) -> Bool {
        let files = try [FileDescriptor.open(left, O_RDONLY), FileDescriptor.open(right, O_RDONLY)]
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes * 2, alignment: 4096)
        defer { memory.deallocate() }
        var offset: UInt64 = 0
        while offset < length {
            let wanted = Int(min(UInt64(pieceBytes), length - offset))
            let halves = [0, pieceBytes].map { UnsafeMutableRawBufferPointer(rebasing: memory[$0..<$0 + wanted]) }
            for (file, half) in zip(files, halves) {
                guard try file.read(into: half, at: offset) == wanted else { return false }
            }
            guard memcmp(halves[0].baseAddress!, halves[1].baseAddress!, wanted) == 0 else { return false }
            offset += UInt64(wanted)
        }
        return true
    }
}

// SPDX-License-Identifier: Apache-2.0
import Glibc

/// One direction of the C library's character set conversion, for use by one thread at a time.
///
/// Opening is cheap once the C library has loaded the set, so that a converter lives for one call only and nothing is
/// shared between threads. Single-byte sets and the sets of ISO 2022 do not come here for each text: see
/// `GraphicSet`.
struct IconvConverter: ~Copyable {
    private let handle: iconv_t

    /// Nil when the C library does not know one of the names.
    init?(from source: String, to target: String) {
        guard let handle = iconv_open(target, source), handle != iconv_t(bitPattern: -1) else { return nil }
        self.handle = handle
    }

    deinit { _ = iconv_close(handle) }

    /// Everything converted, or nil when something in it cannot be.
    func convert(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
        var output: [UInt8] = []
        return run(bytes, into: &output) == bytes.count ? output : nil
    }

    /// Converts to UTF-8 with U+FFFD for each byte that cannot be converted.
    func convertLeniently(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count * 2)
        var position = 0
        while position < bytes.count {
            position += run(UnsafeRawBufferPointer(rebasing: bytes[position...]), into: &output)
            guard position < bytes.count else { break }
            output.append(contentsOf: [UInt8].replacementCharacter)
            position += 1
        }
        return output
    }

    /// Converts up to the first byte that cannot be converted and returns how many could.
    private func run(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) -> Int {
        // Back to the initial state: the failure before may have left a shift behind.
        iconv(handle, nil, nil, nil, nil)
        guard let base = bytes.bindMemory(to: CChar.self).baseAddress else { return 0 }
        var input: UnsafeMutablePointer<CChar>? = UnsafeMutablePointer(mutating: base)
        var left = bytes.count
        var isFull = true
        while isFull, left > 0 {
            isFull = withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 1) { room in
                var target: UnsafeMutablePointer<CChar>? = room.bindMemory(to: CChar.self).baseAddress
                var free = room.count
                let result = iconv(handle, &input, &left, &target, &free)
                let isFull = result == UInt(bitPattern: -1) && errno == E2BIG
                output.append(contentsOf: room[..<(room.count - free)])
                return isFull
            }
        }
        return bytes.count - left
    }
}

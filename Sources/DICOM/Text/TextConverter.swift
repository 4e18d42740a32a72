// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// iconv for all threads: converters are costly to open and must not be shared, so they are lent from a pool.
enum TextConverter {
    private struct Pool: @unchecked Sendable {
        var idle: [String: [iconv_t]] = [:]
    }

    private static let pool = Mutex(Pool())
    private static let idleMaximum = 16

    /// Whether iconv knows the encoding.
    static func knows(_ encoding: String) -> Bool {
        borrow("UTF-8", encoding).map { giveBack($0, "UTF-8", encoding) } != nil
    }

    /// The text of the bytes; what is no text in this encoding becomes U+FFFD, byte by byte.
    static func decode(_ bytes: UnsafeRawBufferPointer, from encoding: String) -> String {
        guard let converter = borrow("UTF-8", encoding) else { return latin1(bytes) }
        defer { giveBack(converter, "UTF-8", encoding) }
        var output: [UInt8] = []
        var rest = bytes
        while !rest.isEmpty {
            let used = convert(converter, rest, &output)
            guard used < rest.count else { break }
            output += [0xEF, 0xBF, 0xBD]
            rest = UnsafeRawBufferPointer(rebasing: rest[(used + 1)...])
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// The bytes of the text; nil if the encoding cannot carry it.
    static func encode(_ text: String, to encoding: String) -> [UInt8]? {
        guard let converter = borrow(encoding, "UTF-8") else { return nil }
        defer { giveBack(converter, encoding, "UTF-8") }
        var output: [UInt8] = []
        var text = text
        let isWhole = text.withUTF8 { convert(converter, UnsafeRawBufferPointer($0), &output) == $0.count }
        return isWhole ? output : nil
    }

    /// Every byte as the character of the same number: loses nothing.
    static func latin1(_ bytes: UnsafeRawBufferPointer) -> String {
        var text = ""
        text.unicodeScalars.append(contentsOf: bytes.lazy.map { Unicode.Scalar($0) })
        return text
    }

    /// Converts as far as it goes; returns the bytes used.
    private static func convert(_ converter: iconv_t, _ input: UnsafeRawBufferPointer, _ output: inout [UInt8]) -> Int {
        guard let base = input.baseAddress else { return 0 }
        iconv(converter, nil, nil, nil, nil)
        var source: UnsafeMutablePointer<CChar>? = UnsafeMutablePointer(
            mutating: base.assumingMemoryBound(to: CChar.self))
        var remaining = input.count
        var piece = [CChar](repeating: 0, count: 512)
        while true {
            let (result, code, count) = piece.withUnsafeMutableBufferPointer { buffer in
                var target = buffer.baseAddress
                var room = buffer.count
                let result = iconv(converter, &source, &remaining, &target, &room)
                return (result, errno, buffer.count - room)
            }
            output.append(contentsOf: piece[..<count].lazy.map { UInt8(bitPattern: $0) })
            // (size_t)-1 with E2BIG: the piece is full, and there is more.
            if result != -1 || code != E2BIG { break }
        }
        return input.count - remaining
    }

    private static func borrow(_ target: String, _ source: String) -> iconv_t? {
        if let idle = pool.withLock({ $0.idle["\(target) \(source)"]?.popLast() }) { return idle }
        let opened = iconv_open(target, source)
        // (iconv_t)-1
        return Int(bitPattern: opened) == -1 ? nil : opened
    }

    private static func giveBack(_ converter: iconv_t, _ target: String, _ source: String) {
        let isKept = pool.withLock { pool in
            var idle = pool.idle["\(target) \(source)"] ?? []
            guard idle.count < idleMaximum else { return false }
            idle.append(converter)
            pool.idle["\(target) \(source)"] = idle
            return true
        }
        if !isKept { iconv_close(converter) }
    }
}

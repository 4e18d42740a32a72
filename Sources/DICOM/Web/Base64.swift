// SPDX-License-Identifier: Apache-2.0

/// Base 64 (RFC 4648 section 4), as InlineBinary has it.
package enum Base64 {
    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, letter) in letters.enumerated() { values[Int(letter)] = UInt8(value) }
        return values
    }()

    package static func append(_ source: UnsafeRawBufferPointer, to text: inout [UInt8]) {
        text.reserveCapacity(text.count + (source.count + 2) / 3 * 4)
        var index = 0
        while index < source.count {
            let rest = source.count - index
            let group =
                UInt32(source[index]) << 16 | (rest > 1 ? UInt32(source[index + 1]) << 8 : 0)
                | (rest > 2 ? UInt32(source[index + 2]) : 0)
            text.append(letters[Int(group >> 18)])
            text.append(letters[Int(group >> 12 & 63)])
            text.append(rest > 1 ? letters[Int(group >> 6 & 63)] : UInt8(ascii: "="))
            text.append(rest > 2 ? letters[Int(group & 63)] : UInt8(ascii: "="))
            index += 3
        }
    }

    /// nil: it is no base 64. White space between the letters is passed over.
    package static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var group: UInt32 = 0
        var count = 0
        var padding = 0
        for letter in text where letter != 0x0A && letter != 0x0D && letter != 0x20 {
            if letter == UInt8(ascii: "=") {
                padding += 1
                group <<= 6
            } else {
                guard padding == 0, values[Int(letter)] != 255 else { return nil }
                group = group << 6 | UInt32(values[Int(letter)])
            }
            count += 1
            guard count == 4 else { continue }
            guard padding < 3 else { return nil }
            bytes.append(UInt8(group >> 16 & 0xFF))
            if padding < 2 { bytes.append(UInt8(group >> 8 & 0xFF)) }
            if padding < 1 { bytes.append(UInt8(group & 0xFF)) }
            (group, count) = (0, 0)
        }
        return count == 0 ? bytes : nil
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Bytes and numbers as hexadecimal digits, in lower case.
package enum Hexadecimal {
    package static func text(_ bytes: [UInt8]) -> String { String(decoding: encoded(bytes), as: UTF8.self) }

    /// With zeros in front, so that there are at least `width` digits.
    package static func text(_ number: some UnsignedInteger, width: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// The same as `text`, as ASCII.
    package static func encoded(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 2 * bytes.count) { target, count in
            for (index, byte) in bytes.enumerated() {
                target[2 * index] = digit(byte >> 4)
                target[2 * index + 1] = digit(byte & 15)
            }
            count = 2 * bytes.count
        }
    }

    /// - Parameter takesCapitals: false: only what `text` gives, so that there is one spelling of each.
    /// - Returns: nil: other characters than digits, or an odd number of them.
    package static func bytes(_ text: ArraySlice<UInt8>, takesCapitals: Bool = true) -> [UInt8]? {
        guard text.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2)
        for index in stride(from: text.startIndex, to: text.endIndex, by: 2) {
            guard let high = value(text[index], takesCapitals), let low = value(text[index + 1], takesCapitals) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    package static func bytes(_ text: String, takesCapitals: Bool = true) -> [UInt8]? {
        bytes(Array(text.utf8)[...], takesCapitals: takesCapitals)
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    private static func value(_ digit: UInt8, _ takesCapitals: Bool) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x61...0x66: digit - 0x61 + 10
        case 0x41...0x46 where takesCapitals: digit - 0x41 + 10
        default: nil
        }
    }
}

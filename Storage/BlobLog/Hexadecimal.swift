// SPDX-License-Identifier: Apache-2.0

/// Bytes and numbers as hexadecimal digits, in lower case.
package enum Hexadecimal {
    package static func text(_ bytes: [UInt8]) -> String { bytes.map { text($0, width: 2) }.joined() }

    /// With zeros in front, so that there are at least `width` digits.
    package static func text(_ number: some UnsignedInteger, width: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// nil: other characters than digits, or an odd number of them.
    package static func bytes(_ text: String) -> [UInt8]? {
        let digits = text.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count.isMultiple(of: 2), !digits.contains(nil) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0]! * 16 + digits[$0 + 1]!) }
    }
}

extension BlobID {
    /// Reads what `description` gives; nil if it is something else.
    package init?(hexadecimal text: some StringProtocol) {
        guard let bytes = Hexadecimal.bytes(String(text)), bytes.count == Self.byteCount else { return nil }
        self.init(bytes)
    }
}

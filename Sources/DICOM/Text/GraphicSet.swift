// SPDX-License-Identifier: Apache-2.0

/// A coded character set that stands in one half of the code table (ISO 2022): a single-byte one for the bytes
/// 80H-FFH, or a 94 by 94 one of two bytes each, in either half.
///
/// The tables come from the C library's conversion, once for a process and set; they are immutable, so that all
/// threads share them. A set the C library cannot convert (its conversion modules are missing) is empty: texts in it
/// decode to U+FFFD.
final class GraphicSet: Sendable {
    /// Bytes of one character.
    let width: Int
    /// Whether the set is invoked by bytes with the high bit (G1) rather than without it (G0).
    let isRight: Bool
    /// Follows ESC to designate the set; empty for a set that has no place in DICOM's code extensions.
    let designator: [UInt8]
    /// Scalar of each position, 0 where there is none. All the sets are within the basic plane.
    private let scalars: [UInt16]
    private let codes: [UInt16: UInt16]

    /// A single-byte set whose lower half is ASCII.
    init(single name: String, designator: [UInt8] = []) {
        width = 1
        isRight = true
        self.designator = designator
        scalars = Self.table(of: (0x80...0xFF).map { [$0] }, in: name)
        codes = Self.inverse(of: scalars)
    }

    /// A set of two bytes. `prefix` precedes each character in the encoding `name`, not in DICOM.
    init(double name: String, prefix: [UInt8] = [], isRight: Bool, designator: [UInt8]) {
        width = 2
        self.isRight = isRight
        self.designator = designator
        let range: ClosedRange<UInt8> = 0xA1...0xFE
        scalars = Self.table(of: range.flatMap { high in range.map { prefix + [high, $0] } }, in: name)
        codes = Self.inverse(of: scalars)
    }

    private static func table(of characters: [[UInt8]], in name: String) -> [UInt16] {
        guard let converter = IconvConverter(from: name, to: "UTF-16LE") else {
            return Array(repeating: 0, count: characters.count)
        }
        return characters.map { character in
            guard let units = character.withUnsafeBytes({ converter.convert($0) }), units.count == 2 else { return 0 }
            let scalar = UInt16(units[0]) | UInt16(units[1]) << 8
            // ASCII has its own bytes; a second way to write a delimiter would be a trap.
            return scalar < 0x80 ? 0 : scalar
        }
    }

    private static func inverse(of scalars: [UInt16]) -> [UInt16: UInt16] {
        let pairs = scalars.enumerated().filter { $0.element != 0 }
        return Dictionary(
            pairs.map { ($0.element, UInt16(truncatingIfNeeded: $0.offset)) }, uniquingKeysWith: { first, _ in first })
    }

    /// The scalar of a byte 80H-FFH of a single-byte set; nil for other bytes and unassigned ones.
    func scalar(of byte: UInt8) -> UInt32? { scalar(at: Int(byte) - 0x80) }

    /// The scalar of two bytes, with or without their high bits; nil for those outside the set.
    func scalar(of first: UInt8, _ second: UInt8) -> UInt32? {
        let row = Int(first & 0x7F) - 0x21
        let cell = Int(second & 0x7F) - 0x21
        guard (0..<94).contains(row), (0..<94).contains(cell) else { return nil }
        return scalar(at: row * 94 + cell)
    }

    private func scalar(at index: Int) -> UInt32? {
        guard scalars.indices.contains(index), scalars[index] != 0 else { return nil }
        return UInt32(scalars[index])
    }

    /// The bytes of a scalar as they stand in the text; nil when the set does not have it.
    func bytes(of scalar: UInt32) -> [UInt8]? {
        guard let key = UInt16(exactly: scalar), let code = codes[key] else { return nil }
        guard width == 2 else { return [0x80 | UInt8(truncatingIfNeeded: code)] }
        let high: UInt8 = isRight ? 0x80 : 0
        return [
            high | (0x21 + UInt8(truncatingIfNeeded: code / 94)), high | (0x21 + UInt8(truncatingIfNeeded: code % 94)),
        ]
    }
}

// PS3.3 tables C.12-2 to C.12-4: the sets and the escape sequences that designate them.
extension GraphicSet {
    static let latin1 = GraphicSet(single: "ISO-8859-1", designator: [0x2D, 0x41])
    static let latin2 = GraphicSet(single: "ISO-8859-2", designator: [0x2D, 0x42])
    static let latin3 = GraphicSet(single: "ISO-8859-3", designator: [0x2D, 0x43])
    static let latin4 = GraphicSet(single: "ISO-8859-4", designator: [0x2D, 0x44])
    static let latin5 = GraphicSet(single: "ISO-8859-9", designator: [0x2D, 0x4D])
    static let latin9 = GraphicSet(single: "ISO-8859-15", designator: [0x2D, 0x62])
    static let cyrillic = GraphicSet(single: "ISO-8859-5", designator: [0x2D, 0x4C])
    static let arabic = GraphicSet(single: "ISO-8859-6", designator: [0x2D, 0x47])
    static let greek = GraphicSet(single: "ISO-8859-7", designator: [0x2D, 0x46])
    static let hebrew = GraphicSet(single: "ISO-8859-8", designator: [0x2D, 0x48])
    /// TIS 620-2533; ISO 8859-11 is the same with a no-break space.
    static let thai = GraphicSet(single: "ISO-8859-11", designator: [0x2D, 0x54])
    /// JIS X 0201 katakana. The romaji half is taken for ASCII: 5CH delimits values whatever it looks like.
    static let katakana = GraphicSet(single: "SHIFT_JIS", designator: [0x29, 0x49])
    static let kanji = GraphicSet(double: "EUC-JP", isRight: false, designator: [0x24, 0x42])
    static let supplementaryKanji = GraphicSet(
        double: "EUC-JP", prefix: [0x8F], isRight: false, designator: [0x24, 0x28, 0x44])
    static let korean = GraphicSet(double: "EUC-KR", isRight: true, designator: [0x24, 0x29, 0x43])
    static let simplifiedChinese = GraphicSet(double: "EUC-CN", isRight: true, designator: [0x24, 0x29, 0x41])

    /// The single-byte set of ESC 02/13 and a final byte.
    static func single(final: UInt8) -> GraphicSet? {
        switch final {
        case 0x41: latin1
        case 0x42: latin2
        case 0x43: latin3
        case 0x44: latin4
        case 0x46: greek
        case 0x47: arabic
        case 0x48: hebrew
        case 0x4C: cyrillic
        case 0x4D: latin5
        case 0x54: thai
        case 0x62: latin9
        default: nil
        }
    }
}

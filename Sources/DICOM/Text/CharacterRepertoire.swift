// SPDX-License-Identifier: Apache-2.0

/// A character repertoire that (0008,0005) can name (PS3.3 section C.12.1.1.2): its encoding, and how ISO 2022 calls it in.
struct CharacterRepertoire: Sendable, Hashable {
    enum Shape: Sendable, Hashable {
        /// One byte a character, the upper half its own (G1).
        case singleByte
        /// JIS X 0201: katakana in the upper half.
        case katakana
        /// Two bytes a character in the lower half (G0): JIS X 0208 and 0212.
        case doubleByteG0
        /// Two bytes a character in the upper half (G1): KS X 1001, GB 2312.
        case doubleByteG1
        /// An encoding that takes no code extensions: UTF-8, GB18030, GBK.
        case whole
    }

    /// The number in `ISO_IR 100` and `ISO 2022 IR 100`; 0 for those without.
    let number: Int
    /// iconv's name; for the two-byte sets of an EUC that holds them.
    let encoding: String
    let shape: Shape
    /// What follows ESC to call it in (PS3.3 tables C.12-3 and C.12-4).
    let escape: [UInt8]
    let term: String

    private init(_ number: Int, _ encoding: String, _ shape: Shape, _ escape: [UInt8] = [], term: String? = nil) {
        self.number = number
        self.encoding = encoding
        self.shape = shape
        self.escape = escape
        self.term = term ?? "ISO_IR \(number)"
    }

    static let ascii = CharacterRepertoire(6, "US-ASCII", .singleByte, [0x28, 0x42])
    static let utf8 = CharacterRepertoire(192, "UTF-8", .whole)
    static let katakana = CharacterRepertoire(13, "JIS_X0201", .katakana, [0x29, 0x49])

    static let all: [CharacterRepertoire] = [
        ascii, utf8, katakana,
        CharacterRepertoire(100, "ISO-8859-1", .singleByte, [0x2D, 0x41]),
        CharacterRepertoire(101, "ISO-8859-2", .singleByte, [0x2D, 0x42]),
        CharacterRepertoire(109, "ISO-8859-3", .singleByte, [0x2D, 0x43]),
        CharacterRepertoire(110, "ISO-8859-4", .singleByte, [0x2D, 0x44]),
        CharacterRepertoire(144, "ISO-8859-5", .singleByte, [0x2D, 0x4C]),
        CharacterRepertoire(127, "ISO-8859-6", .singleByte, [0x2D, 0x47]),
        CharacterRepertoire(126, "ISO-8859-7", .singleByte, [0x2D, 0x46]),
        CharacterRepertoire(138, "ISO-8859-8", .singleByte, [0x2D, 0x48]),
        CharacterRepertoire(148, "ISO-8859-9", .singleByte, [0x2D, 0x4D]),
        CharacterRepertoire(203, "ISO-8859-15", .singleByte, [0x2D, 0x62]),
        CharacterRepertoire(166, "TIS-620", .singleByte, [0x2D, 0x54]),
        CharacterRepertoire(87, "EUC-JP", .doubleByteG0, [0x24, 0x42]),
        CharacterRepertoire(159, "EUC-JP", .doubleByteG0, [0x24, 0x28, 0x44]),
        CharacterRepertoire(149, "EUC-KR", .doubleByteG1, [0x24, 0x29, 0x43]),
        CharacterRepertoire(58, "GB2312", .doubleByteG1, [0x24, 0x29, 0x41]),
        CharacterRepertoire(0, "GB18030", .whole, term: "GB18030"),
        CharacterRepertoire(0, "GBK", .whole, term: "GBK"),
    ]

    /// The repertoire of a defined term, however it is spelt: `ISO_IR 100`, `ISO 2022 IR 100`, `iso-ir100`, `UTF-8`.
    static func named(_ term: String) -> CharacterRepertoire? {
        let letters = term.uppercased().filter { $0.isLetter || $0.isNumber }
        if letters == "UTF8" || letters == "ISOIR192" { return utf8 }
        if let named = all.first(where: { $0.number == 0 && $0.term == letters }) { return named }
        guard letters.hasPrefix("ISO"), letters.contains("IR") else { return nil }
        let digits = letters.reversed().prefix { $0.isNumber }.reversed()
        return Int(String(digits)).flatMap { number in all.first { $0.number == number && number != 0 } }
    }

    /// The repertoire that an escape sequence calls in, and the sequence's length behind ESC.
    static func called(by bytes: UnsafeRawBufferPointer) -> (CharacterRepertoire, length: Int)? {
        // ESC ( J calls in the Roman half of JIS X 0201, which is ASCII but for two signs.
        if bytes.starts(with: [0x28, 0x4A]) { return (ascii, 2) }
        return all.first { !$0.escape.isEmpty && bytes.starts(with: $0.escape) }.map { ($0, $0.escape.count) }
    }
}

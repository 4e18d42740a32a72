// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DICOM

@Suite("Specific character set")
struct CharacterSetTests {
    /// A text and its bytes, given as escapes: `\u{e9}` stands for the byte E9H.
    struct Sample: Sendable, CustomTestStringConvertible {
        let terms: [String]
        let bytes: [UInt8]
        let text: String
        var vr: VR = .pn
        var testDescription: String { terms.joined(separator: "\\") + " " + text }

        init(_ terms: String..., bytes: String, text: String, vr: VR = .pn) {
            self.terms = terms
            self.bytes = bytes.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
            self.text = text
            self.vr = vr
        }
    }

    private static func decode(_ bytes: [UInt8], _ set: SpecificCharacterSet, _ vr: VR = .pn) -> String {
        bytes.withUnsafeBytes { set.decode($0, vr: vr) }
    }

    private static func values(_ bytes: [UInt8], _ set: SpecificCharacterSet, _ vr: VR) -> [String] {
        bytes.withUnsafeBytes { set.decodeValues($0, vr: vr) }
    }

    private static func bytes(_ text: String) -> [UInt8] {
        text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
    }

    /// One to one: what is decoded is encoded to the same bytes.
    static let samples = [
        // PS3.5 annex H.
        Sample(
            "", "ISO 2022 IR 87",
            bytes:
                "Yamada^Tarou=\u{1B}$B;3ED\u{1B}(B^\u{1B}$BB@O:\u{1B}(B=\u{1B}$B$d$^$@\u{1B}(B^\u{1B}$B$?$m$&\u{1B}(B",
            text: "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        Sample(
            "ISO 2022 IR 13", "ISO 2022 IR 87",
            bytes: "\u{D4}\u{CF}\u{C0}\u{DE}^\u{C0}\u{DB}\u{B3}=\u{1B}$B;3ED\u{1B}(J^\u{1B}$BB@O:\u{1B}(J="
                + "\u{1B}$B$d$^$@\u{1B}(J^\u{1B}$B$?$m$&\u{1B}(J",
            text: "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        // PS3.5 annex I.
        Sample(
            "", "ISO 2022 IR 149",
            bytes: "Hong^Gildong=\u{1B}$)C\u{FB}\u{F3}^\u{1B}$)C\u{D1}\u{CE}\u{D4}\u{D7}=\u{1B}$)C\u{C8}\u{AB}^"
                + "\u{1B}$)C\u{B1}\u{E6}\u{B5}\u{BF}",
            text: "Hong^Gildong=洪^吉洞=홍^길동"),
        // PS3.5 annex J.
        Sample(
            "ISO_IR 192", bytes: "Wang^XiaoDong=\u{E7}\u{8E}\u{8B}^\u{E5}\u{B0}\u{8F}\u{E6}\u{9D}\u{B1}=",
            text: "Wang^XiaoDong=王^小東="),
        Sample(
            "GB18030", bytes: "Wang^XiaoDong=\u{CD}\u{F5}^\u{D0}\u{A1}\u{B6}\u{AB}=", text: "Wang^XiaoDong=王^小东="),
        Sample("GBK", bytes: "Wang^XiaoDong=\u{CD}\u{F5}^\u{D0}\u{A1}\u{B6}\u{AB}", text: "Wang^XiaoDong=王^小东"),
        Sample("GB18030", bytes: "\u{81}\u{30}\u{81}\u{34}", text: "\u{84}", vr: .lo),
        // PS3.5 annex K.
        Sample(
            "", "ISO 2022 IR 58",
            bytes: "Zhang^XiaoDong=\u{1B}$)A\u{D5}\u{C5}^\u{1B}$)A\u{D0}\u{A1}\u{B6}\u{AB}=",
            text: "Zhang^XiaoDong=张^小东="),
        // Single-byte sets.
        Sample("ISO_IR 100", bytes: "Buc^J\u{E9}r\u{F4}me", text: "Buc^Jérôme"),
        Sample("ISO_IR 101", bytes: "Wa\u{B3}\u{EA}sa", text: "Wałęsa"),
        Sample("ISO_IR 109", bytes: "\u{A6}a\u{B1}", text: "Ĥaħ"),
        Sample("ISO_IR 110", bytes: "\u{AA}uns\u{B9}", text: "Ēunsš"),
        Sample("ISO_IR 144", bytes: "\u{BB}\u{EE}\u{DA}ce\u{DC}\u{D1}\u{E3}\u{E0}\u{D3}", text: "Люкceмбург"),
        Sample(
            "ISO_IR 127", bytes: "\u{E2}\u{C8}\u{C7}\u{E6}\u{EA}^\u{E4}\u{E6}\u{D2}\u{C7}\u{D1}", text: "قباني^لنزار"),
        Sample("ISO_IR 126", bytes: "\u{C4}\u{E9}\u{EF}\u{ED}\u{F5}\u{F3}\u{E9}\u{EF}\u{F2}", text: "Διονυσιος"),
        Sample("ISO_IR 138", bytes: "\u{F9}\u{F8}\u{E5}\u{EF}^\u{E3}\u{E1}\u{E5}\u{F8}\u{E4}", text: "שרון^דבורה"),
        Sample("ISO_IR 148", bytes: "\u{C7}avu\u{FE}o\u{F0}lu", text: "Çavuşoğlu"),
        Sample("ISO_IR 203", bytes: "\u{A4}\u{BD}uvre", text: "€œuvre"),
        Sample("ISO_IR 166", bytes: "\u{B9}\u{D2}\u{C1}^\u{CA}\u{A1}\u{D8}\u{C5}", text: "นาม^สกุล"),
        Sample("ISO_IR 13", bytes: "\u{D4}\u{CF}\u{C0}\u{DE}^\u{C0}\u{DB}\u{B3}", text: "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        // Several single-byte sets, each back to the first at the delimiter.
        Sample(
            "ISO 2022 IR 100", "ISO 2022 IR 144", "ISO 2022 IR 126",
            bytes: "J\u{E9}r\u{F4}me=\u{1B}-L\u{BB}\u{EE}\u{DA}^\u{1B}-F\u{C4}\u{E9}", text: "Jérôme=Люк^Δι"),
        // Supplementary kanji.
        Sample("", "ISO 2022 IR 87", "ISO 2022 IR 159", bytes: "\u{1B}$(D0!\u{1B}(B^A", text: "丂^A"),
    ]

    @Test("Decodes the standard's examples", arguments: samples)
    func decodes(_ sample: Sample) {
        let set = SpecificCharacterSet(definedTerms: sample.terms)
        #expect(set.unknownTerms.isEmpty)
        #expect(Self.decode(sample.bytes, set, sample.vr) == sample.text)
    }

    @Test("Encodes into bytes that decode to the same text", arguments: samples)
    func encodes(_ sample: Sample) throws {
        let set = SpecificCharacterSet(definedTerms: sample.terms)
        let bytes = try #require(set.encode(sample.text))
        #expect(Self.decode(bytes, set, sample.vr) == sample.text)
    }

    @Test("Encodes the standard's examples byte for byte", arguments: samples)
    func encodesExactly(_ sample: Sample) {
        #expect(SpecificCharacterSet(definedTerms: sample.terms).encode(sample.text) == sample.bytes)
    }

    @Test(
        "Understands misspelt terms",
        arguments: [
            "ISO_IR192", "iso_ir 192", "ISO IR 192", "UTF-8", "utf8", "ISO-IR 192", " ISO_IR 192 ", "ISO 2022 IR 192",
        ])
    func misspeltUTF8(_ term: String) {
        let set = SpecificCharacterSet(definedTerms: [term])
        #expect(set.unknownTerms.isEmpty)
        #expect(Self.decode(Array("Ж".utf8), set) == "Ж")
    }

    @Test(
        "Understands misspelt terms of registered sets",
        arguments: ["ISO_IR144", "ISO IR 144", "iso-ir-144", "ISO 2022 IR144", "ISO_IR_144"])
    func misspeltCyrillic(_ term: String) {
        let set = SpecificCharacterSet(definedTerms: [term])
        #expect(set.unknownTerms.isEmpty)
        #expect(Self.decode([0xBB, 0xEE, 0xDA], set) == "Люк")
    }

    @Test(
        "Passes over unknown terms and names them",
        arguments: ["ISO_IR 999", "KOI-9", "ISO_IR", "ISO_IR 99999999999999999999"])
    func unknownTerms(_ term: String) {
        let set = SpecificCharacterSet(definedTerms: [term])
        #expect(set.unknownTerms == [term])
        #expect(Self.decode(Array("A^B".utf8), set) == "A^B")
    }

    @Test("Undeclared 8-bit text is UTF-8 where it is valid, Latin-1 otherwise")
    func undeclared() {
        #expect(Self.decode(Array("Иванов".utf8), .ascii) == "Иванов")
        #expect(Self.decode([0x4D, 0xFC, 0x6C], .ascii) == "Mül")
    }

    @Test("An override may be any encoding with ASCII in it")
    func overrides() throws {
        let bytes: [UInt8] = [0xC8, 0xE2, 0xE0, 0xED, 0xEE, 0xE2]
        for name in ["CP1251", "WINDOWS-1251", "windows-1251"] {
            let set = try #require(SpecificCharacterSet(override: name))
            #expect(Self.decode(bytes, set) == "Иванов")
            #expect(set.encode("Иванов") == bytes)
            #expect(set.encode("山") == nil)
        }
        let cyrillic = try #require(SpecificCharacterSet(override: "ISO_IR 144"))
        #expect(cyrillic == SpecificCharacterSet(definedTerms: ["ISO_IR 144"]))
        #expect(SpecificCharacterSet(override: "no such encoding") == nil)
        #expect(SpecificCharacterSet(override: "") == nil)
    }

    @Test("An override without ASCII in it is refused", arguments: ["UTF-16", "UTF-32LE", "IBM037"])
    func overridesWithoutASCII(_ name: String) {
        #expect(SpecificCharacterSet(override: name) == nil)
    }

    @Test("Shift JIS as an override keeps the backslash a delimiter")
    func shiftJIS() throws {
        let set = try #require(SpecificCharacterSet(override: "SHIFT_JIS"))
        // 表 ends in 5CH.
        #expect(Self.values([0x95, 0x5C, 0x5C, 0x8E, 0x52], set, .lo) == ["表", "山"])
    }

    @Test("A second byte 5CH delimits nothing", arguments: ["GBK", "GB18030"])
    func secondByteBackslash(_ term: String) {
        let set = SpecificCharacterSet(definedTerms: [term])
        #expect(Self.values([0x81, 0x5C, 0x5C, 0x41], set, .lo) == ["乗", "A"])
    }

    @Test("Bytes of two-byte kanji delimit nothing")
    func kanjiBackslash() {
        let set = SpecificCharacterSet(definedTerms: ["", "ISO 2022 IR 87"])
        // 偂 of JIS X 0212 apart, 5CH occurs as either byte of JIS X 0208.
        #expect(Self.values(Self.bytes("\u{1B}$B\\@\u{1B}(B\\A"), set, .lo).count == 2)
        #expect(Self.values(Self.bytes("\u{1B}$B0\\\u{1B}(B\\A"), set, .lo) == ["移", "A"])
    }

    @Test("The sets go back to the first one at the delimiters of the VR")
    func reset() {
        let set = SpecificCharacterSet(definedTerms: ["ISO 2022 IR 100", "ISO 2022 IR 144"])
        #expect(Self.decode(Self.bytes("\u{1B}-L\u{BB}^\u{E9}"), set, .pn) == "Л^é")
        #expect(Self.decode(Self.bytes("\u{1B}-L\u{BB}=\u{E9}"), set, .pn) == "Л=é")
        #expect(Self.decode(Self.bytes("\u{1B}-L\u{BB}^\u{BB}"), set, .lo) == "Л^Л")
        #expect(Self.values(Self.bytes("\u{1B}-L\u{BB}\\\u{E9}"), set, .lo) == ["Л", "é"])
        #expect(Self.decode(Self.bytes("\u{1B}-L\u{BB}\r\n\u{E9}"), set, .lt) == "Л\r\né")
        #expect(Self.decode(Self.bytes("\u{1B}-L\u{BB}\t\u{E9}"), set, .lt) == "Л\té")
    }

    @Test(
        "Korean without its escape sequence is still read", arguments: [["ISO 2022 IR 149"], ["", "ISO 2022 IR 149"]])
    func forgottenEscape(_ terms: [String]) {
        #expect(Self.decode([0xB1, 0xE6, 0xB5, 0xBF], SpecificCharacterSet(definedTerms: terms)) == "길동")
    }

    @Test("Character sets apply to text VRs only")
    func unaffected() {
        #expect(Self.decode([0xE9], SpecificCharacterSet(definedTerms: ["ISO_IR 144"]), .cs) == "é")
    }

    @Test("Values lose their padding")
    func padding() {
        #expect(Self.values(Array(" A \\ B\\\\C \0".utf8), .utf8, .lo) == ["A", "B", "", "C"])
        #expect(Self.values(Array("  A\\B  ".utf8), .utf8, .lt) == ["  A\\B"])
        #expect(Self.values(Array("  A\\B  ".utf8), .utf8, .ut) == ["  A\\B"])
        #expect(Self.values(Array("1.2\0".utf8), .utf8, .ui) == ["1.2"])
    }

    @Test("Text the set does not have is not encoded")
    func unencodable() {
        #expect(SpecificCharacterSet.ascii.encode("é") == nil)
        #expect(SpecificCharacterSet(definedTerms: ["ISO_IR 100"]).encode("Ж") == nil)
        #expect(SpecificCharacterSet(definedTerms: ["", "ISO 2022 IR 87"]).encode("홍") == nil)
        #expect(SpecificCharacterSet(definedTerms: ["ISO_IR 13"]).encode("¥") == nil)
    }

    @Test("Any bytes decode in any set")
    func total() {
        let terms = [
            "", "ISO_IR 13", "ISO_IR 100", "ISO_IR 144", "ISO_IR 166", "ISO_IR 192", "GB18030", "GBK", "ISO 2022 IR 87",
            "ISO 2022 IR 159", "ISO 2022 IR 149", "ISO 2022 IR 58",
        ]
        var generator = SystemRandomNumberGenerator()
        let pieces: [[UInt8]] = [
            [0x1B], [0x1B, 0x24], [0x1B, 0x24, 0x28], [0x1B, 0x24, 0x42], [0x1B, 0x24, 0x29, 0x43], [0x1B, 0x2D, 0x4C],
            [0x1B, 0x24, 0x28, 0x44], [0xFF], [0x81], [0x30], [0x5C], [0xC3], [0x7F], [0x0A], [0xA1], [0x21],
        ]
        for first in terms {
            for second in terms {
                let set = SpecificCharacterSet(definedTerms: [first, second])
                for _ in 0..<40 {
                    let bytes = (0..<8).flatMap { _ in pieces.randomElement(using: &generator) ?? [] }
                    #expect(Self.values(bytes, set, .pn).count <= bytes.count + 1)
                    let text = Self.decode(bytes, set, .lt)
                    if let again = set.encode(text) { #expect(Self.decode(again, set, .lt) == text) }
                }
            }
        }
    }

    @Test("All threads may use one set")
    func threads() async {
        let sample = Self.samples[0]
        let set = SpecificCharacterSet(definedTerms: sample.terms)
        let chinese = SpecificCharacterSet(definedTerms: ["GB18030"])
        let wrong = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<200).count { _ in
                        Self.decode(sample.bytes, set) != sample.text || Self.decode([0xCD, 0xF5], chinese) != "王"
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }
}

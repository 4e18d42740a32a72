// SPDX-License-Identifier: Apache-2.0

/// One value of Specific Character Set (0008,0005), PS3.3 section C.12.1.1.2.
struct DefinedTerm: Hashable, Sendable {
    /// What a term stands for.
    enum Repertoire: Hashable, Sendable {
        case ascii, utf8, gb18030, gbk
        /// ISO registration number of a set that takes part in code extensions.
        case registered(Int)
    }

    let repertoire: Repertoire

    init(_ repertoire: Repertoire) { self.repertoire = repertoire }

    /// Reads a term leniently: letter case, blanks, hyphens and underscores do not count, and what senders are known
    /// to write instead of the terms is understood. Nil for anything else.
    init?(_ text: String) {
        let key = String(decoding: Self.significant(text), as: UTF8.self)
        switch key {
        case "", "ISOIR6", "ISO2022IR6", "ASCII", "USASCII", "ISO646": repertoire = .ascii
        case "ISOIR192", "ISO2022IR192", "UTF8", "ISO10646", "UNICODE": repertoire = .utf8
        case "GB18030", "ISO2022GB18030": repertoire = .gb18030
        case "GBK", "ISO2022GBK": repertoire = .gbk
        default:
            guard let number = Self.registration(key) else { return nil }
            repertoire = .registered(number)
        }
    }

    /// Upper-case letters and digits.
    private static func significant(_ text: String) -> [UInt8] {
        text.utf8.compactMap { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 0x20
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
            case UInt8(ascii: " "), UInt8(ascii: "_"), UInt8(ascii: "-"), 0: nil
            // Kept, so that a term with other characters is an unknown one.
            default: byte
            }
        }
    }

    private static func registration(_ key: String) -> Int? {
        for prefix in ["ISO2022IR", "ISOIR", "IR"] where key.hasPrefix(prefix) {
            guard let number = Int(key.dropFirst(prefix.count)), registered[number] != nil else { return nil }
            return number
        }
        guard key.hasPrefix("ISO8859"), let part = Int(key.dropFirst("ISO8859".count)) else { return nil }
        return parts[part]
    }

    /// ISO 8859 parts by the registration numbers DICOM knows them by.
    private static let parts = [
        1: 100, 2: 101, 3: 109, 4: 110, 5: 144, 6: 127, 7: 126, 8: 138, 9: 148, 11: 166, 15: 203,
    ]

    private static let registered: [Int: @Sendable () -> GraphicSet] = [
        100: { .latin1 }, 101: { .latin2 }, 109: { .latin3 }, 110: { .latin4 }, 144: { .cyrillic }, 127: { .arabic },
        126: { .greek }, 138: { .hebrew }, 148: { .latin5 }, 203: { .latin9 }, 166: { .thai }, 13: { .katakana },
        87: { .kanji }, 159: { .supplementaryKanji }, 149: { .korean }, 58: { .simplifiedChinese },
    ]

    /// The set beside ASCII; nil for the default repertoire and for the terms that allow no code extensions.
    var graphicSet: GraphicSet? {
        guard case .registered(let number) = repertoire else { return nil }
        return Self.registered[number]?()
    }

    /// Whether the term stands alone (PS3.3 section C.12.1.1.2: "prohibit code extension techniques").
    var standsAlone: Bool {
        switch repertoire {
        case .utf8, .gb18030, .gbk: true
        case .ascii, .registered: false
        }
    }

    /// The standard's spelling. Sets of two bytes exist only with code extensions.
    func spelling(withCodeExtensions: Bool) -> String {
        switch repertoire {
        case .ascii: withCodeExtensions ? "ISO 2022 IR 6" : "ISO_IR 6"
        case .utf8: "ISO_IR 192"
        case .gb18030: "GB18030"
        case .gbk: "GBK"
        case .registered(let number):
            (withCodeExtensions || [87, 159, 149, 58].contains(number) ? "ISO 2022 IR " : "ISO_IR ") + String(number)
        }
    }
}

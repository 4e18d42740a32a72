// SPDX-License-Identifier: Apache-2.0

/// Brings text into the form that queries are compared in, so that "Müller" is found as "MULLER" and "Семёнов" as
/// "Семенов". Stored text and the asked-for one are both folded; `*` and `?` stay for the query's wildcards.
package enum SearchFolding {
    /// Lower case without accents; composed and decomposed text fold alike. й stays й and ї stays ї, which are no
    /// accented letters. Runs of spaces become one space; spaces around `^` and `=`, and `^`, `=` and spaces that end
    /// a component group or the text, go. The result of folding folds to itself.
    package static func fold(_ text: String) -> String {
        var writer = FoldingWriter(capacity: text.utf8.count)
        var text = text
        let isFolded = text.withUTF8 { bytes in
            guard bytes.allSatisfy({ $0 < 0x80 }) else { return false }
            for byte in bytes {
                let isUpper = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                writer.put(UInt32(isUpper ? byte | 0x20 : byte))
            }
            return true
        }
        if isFolded { return writer.text }
        let table = FoldingTable.shared
        for scalar in text.unicodeScalars { put(scalar, table, &writer) }
        return writer.text
    }

    private static func put(_ scalar: Unicode.Scalar, _ table: FoldingTable, _ writer: inout FoldingWriter) {
        let value = scalar.value
        guard value < 0x2000 else { return putHigh(scalar, &writer) }
        let letter = table.letters[Int(value)]
        if letter == FoldingTable.nothing {
            writer.combine(value)
        } else if let letters = table.expansion(letter) {
            for letter in letters { writer.put(letter) }
        } else {
            writer.put(UInt32(letter))
        }
    }

    /// Beyond U+2000: rare cases one by one.
    private static func putHigh(_ scalar: Unicode.Scalar, _ writer: inout FoldingWriter) {
        switch scalar.value {
        case 0x2000...0x200A, 0x202F, 0x205F, 0x3000: writer.put(0x20)
        // Zero width: people cannot type them and do not see them.
        case 0x200B...0x200F, 0x2060, 0xFEFF: break
        case 0x20D0...0x20FF, 0xFE20...0xFE2F, 0x3099, 0x309A: writer.combine(scalar.value)
        case 0x212B: writer.put(0x61)
        case 0x212A: writer.put(0x6B)
        // Full-width digits and letters; not the punctuation, which must not turn into wildcards and delimiters.
        case 0xFF10...0xFF19, 0xFF41...0xFF5A: writer.put(scalar.value - 0xFEE0)
        case 0xFF21...0xFF3A: writer.put(scalar.value - 0xFEE0 + 0x20)
        default:
            guard scalar.properties.changesWhenLowercased else { return writer.put(scalar.value) }
            for lower in scalar.properties.lowercaseMapping.unicodeScalars { writer.put(lower.value) }
        }
    }
}

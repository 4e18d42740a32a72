// SPDX-License-Identifier: Apache-2.0

/// The form under which text is searched: lower case, without accents, ё as е. Russian й is a letter of its own and stays,
/// though Unicode can write it as и with a mark.
package enum SearchFolding {
    /// Folds text or a pattern; a person name's trailing delimiters and spaces go, group by group.
    package static func fold(_ text: String) -> String {
        var output = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { append(scalar, to: &output) }
        let folded = String(output)
        guard folded.contains("^") || folded.contains("=") || folded.contains("  ") || folded.last == " " else {
            return folded
        }
        return folded.split(separator: "=", omittingEmptySubsequences: false).map(trimGroup).joined(separator: "=")
            .trimmingTrailing("=")
    }

    private static func append(_ scalar: Unicode.Scalar, to output: inout String.UnicodeScalarView) {
        switch scalar.value {
        case 0x41...0x5A: output.append(Unicode.Scalar(scalar.value + 32)!)
        case 0..<0x80: output.append(scalar)
        case 0x0301 where output.last == "\u{433}" || output.last == "\u{43A}": break
        case 0x0306 where output.last == "\u{438}":
            output.removeLast()
            output.append("\u{439}")
        case 0x0308 where output.last == "\u{456}":
            output.removeLast()
            output.append("\u{457}")
        case 0x0300...0x036F: break
        case 0x0401, 0x0451: output.append("\u{435}")
        case 0x0410...0x042F: output.append(Unicode.Scalar(scalar.value + 32)!)
        case 0x0430...0x044F: output.append(scalar)
        case 0x00A0, 0x3000: output.append(" ")
        default: appendOther(scalar, to: &output)
        }
    }

    private static func appendOther(_ scalar: Unicode.Scalar, to output: inout String.UnicodeScalarView) {
        for lower in scalar.properties.lowercaseMapping.unicodeScalars {
            if let special = specials[lower] {
                output.append(contentsOf: special.unicodeScalars)
            } else {
                // Latin and Greek letters lose their marks; other scripts keep what they are.
                output.append(bases[Character(lower)] ?? lower)
            }
        }
    }

    /// Letters whose stroke or tie is no mark of its own to Unicode.
    private static let specials: [Unicode.Scalar: String] = [
        "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ı": "i",
        "ŧ": "t", "ŀ": "l", "ŉ": "n", "ĳ": "ij", "ς": "σ",
    ]

    /// Marked letter → letter. Characters compare by canonical equivalence, so a letter put together with its marks here
    /// finds the one that is a code point of its own.
    private static let bases: [Character: Unicode.Scalar] = {
        var table: [Character: Unicode.Scalar] = [:]
        let letters = "abcdefghijklmnopqrstuvwxyzαεηιουω".unicodeScalars
        let marks = (0x0300...0x0333).compactMap(Unicode.Scalar.init) + ["\u{342}", "\u{345}"]
        func add(_ letter: Unicode.Scalar, _ marks: [Unicode.Scalar]) {
            var text = String.UnicodeScalarView([letter])
            text.append(contentsOf: marks)
            if String(text).count == 1 { table[Character(String(text))] = letter }
        }
        for letter in letters {
            for mark in marks { add(letter, [mark]) }
            // Vietnamese has two on one letter.
            for shape in ["\u{302}", "\u{306}", "\u{31B}"] as [Unicode.Scalar] {
                for tone in ["\u{300}", "\u{301}", "\u{303}", "\u{309}", "\u{323}"] as [Unicode.Scalar] {
                    add(letter, [shape, tone])
                }
            }
        }
        return table
    }()

    private static func trimGroup(_ group: Substring) -> String {
        var result = ""
        for character in group where !(character == " " && (result.last == " " || result.isEmpty)) {
            result.append(character)
        }
        while let last = result.last, last == " " || last == "^" { result.removeLast() }
        return result
    }
}

extension String {
    fileprivate func trimmingTrailing(_ character: Character) -> String {
        var text = self
        while text.last == character { text.removeLast() }
        return text
    }
}

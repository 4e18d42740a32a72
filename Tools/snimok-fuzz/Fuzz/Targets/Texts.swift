// SPDX-License-Identifier: Apache-2.0
import Catalog
import DICOM
import Platform

extension FuzzTarget {
    /// Text in any character set: reading is total, and what is written reads the same.
    static let text = FuzzTarget(
        name: "text", about: "character sets, names, search keys", maximumBytes: 256,
        prepare: { for set in characterSets { _ = set.decode(UnsafeRawBufferPointer(start: nil, count: 0), vr: .pn) } },
        seeds: {
            let names = ["Ivanov^Ivan", "Иванов^Иван", "Buc^Jérôme", "Yamada^Tarou=山田^太郎=やまだ^たろう", "김^희중"]
            var seeds: [[UInt8]] = []
            for (number, set) in characterSets.enumerated() {
                for name in names {
                    if let bytes = set.encode(name) { seeds.append([UInt8(number), 0] + bytes) }
                }
            }
            return seeds
        }
    ) { bytes in
        var input = FuzzInput(bytes)
        let set = input.pick(characterSets)
        let vr = input.pick([VR.pn, .lo, .lt, .ui, .uc])
        withExactCopy(input.rest) { bytes in
            let text = set.decode(bytes, vr: vr)
            let values = set.decodeValues(bytes, vr: vr)
            require(values.joined().utf8.count <= text.utf8.count, "values are parts of the text")
            if vr == .pn || vr == .lo, !text.unicodeScalars.contains("\u{FFFD}"), !text.utf8.contains(0x1B),
                let encoded = set.encode(text)
            {
                let again = encoded.withUnsafeBytes { set.decode($0, vr: vr) }
                require(again == text, "what was written reads the same: \(text.debugDescription)")
            }
            let folded = SearchFolding.fold(text)
            require(SearchFolding.fold(folded) == folded, "folding folds to itself: \(text.debugDescription)")
            _ = NameKeys.key(of: folded)
            let name = PersonName(text)
            require(PersonName(name.text) == name, "a name reads the same again: \(text.debugDescription)")
        }
    }

    private static let characterSets: [SpecificCharacterSet] = {
        let declared: [[String]] = [
            [], ["ISO_IR 100"], ["ISO_IR 101"], ["ISO_IR 144"], ["ISO_IR 127"], ["ISO_IR 126"], ["ISO_IR 138"],
            ["ISO_IR 148"], ["ISO_IR 13"], ["ISO_IR 166"], ["ISO_IR 192"], ["GB18030"], ["GBK"],
            ["", "ISO 2022 IR 87"], ["ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 159"], ["", "ISO 2022 IR 149"],
            ["", "ISO 2022 IR 58"], ["ISO 2022 IR 6", "ISO 2022 IR 100", "ISO 2022 IR 144"],
            ["ISO 2022 IR 144", "ISO 2022 IR 100"],
        ]
        return declared.map { SpecificCharacterSet(definedTerms: $0) }
            + ["CP1251", "KOI8-R", "SHIFT_JIS"].compactMap { SpecificCharacterSet(override: $0) }
    }()

    /// Patterns against the plainest matcher there is.
    static let wildcard = FuzzTarget(
        name: "wildcard", about: "wildcard matching against a plain matcher", maximumBytes: 64,
        seeds: {
            [("*a?b*", "xxaybzz"), ("Ив*н?в", "Иванов"), ("*?*?*", "abc"), ("", ""), ("a*b*c", "abbc")].map {
                [UInt8($0.0.utf8.count)] + Array($0.0.utf8) + Array($0.1.utf8)
            }
        }
    ) { bytes in
        var input = FuzzInput(bytes)
        let count = Int(input.byte() % 32)
        let pattern = String(decoding: input.bytes(count), as: UTF8.self)
        let text = input.text
        require(
            WildcardMatcher.matches(pattern, text) == plainlyMatches(pattern, text),
            "\(pattern.debugDescription) against \(text.debugDescription)")
    }

    /// By all prefixes of the pattern against all prefixes of the text.
    private static func plainlyMatches(_ pattern: String, _ text: String) -> Bool {
        let text = Array(text.unicodeScalars)
        var matching = [Bool](repeating: false, count: text.count + 1)
        matching[0] = true
        for letter in pattern.unicodeScalars {
            var next = [Bool](repeating: false, count: text.count + 1)
            next[0] = letter == "*" && matching[0]
            for index in text.indices {
                next[index + 1] =
                    letter == "*"
                    ? next[index] || matching[index + 1] : matching[index] && (letter == "?" || letter == text[index])
            }
            matching = next
        }
        return matching[text.count]
    }
}

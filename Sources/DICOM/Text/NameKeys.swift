// SPDX-License-Identifier: Apache-2.0

/// Keys under which a name is found however it is spelled: in Latin or Cyrillic letters, and in whichever of the many ways
/// to write one in the other. Both are brought to one Latin form that keeps what all of them share, so that "Shcherbakov",
/// "Scherbakow" and "Щербаков" have the same key. It is for search only, and finds rather too much than too little.
package enum NameKeys {
    private static let cyrillic: [Character: String] = [
        "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "e", "ж": "zh", "з": "z", "и": "i", "й": "i",
        "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f",
        "х": "h", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "sh", "ъ": "", "ы": "i", "ь": "", "э": "e", "ю": "iu",
        "я": "ia", "і": "i", "ї": "i", "є": "e", "ґ": "g", "ў": "u", "ә": "a", "ө": "o", "ү": "u", "җ": "zh",
        "ң": "n", "һ": "h", "қ": "k", "ғ": "g", "ұ": "u", "љ": "l", "њ": "n", "ј": "i",
    ]

    /// Spellings of one sound, longest first; what stands behind is their common form.
    private static let spellings: [([UInt8], [UInt8])] = [
        ("shch", "sh"), ("tsch", "ch"), ("sch", "sh"), ("kh", "h"), ("ph", "f"), ("tz", "ts"), ("ck", "k"),
        ("ch", "ch"), ("sh", "sh"), ("zh", "zh"),
        ("ya", "ia"), ("ja", "ia"), ("yu", "iu"), ("ju", "iu"), ("yo", "e"), ("jo", "e"), ("ye", "e"), ("je", "e"),
        ("ie", "e"), ("x", "ks"), ("w", "v"), ("y", "i"), ("j", "i"), ("q", "k"), ("c", "k"),
    ].map { (Array($0.0.utf8), Array($0.1.utf8)) }

    /// The key of a word of a folded name (`SearchFolding`); empty: it has no letters.
    package static func key(of word: String) -> String {
        var latin: [UInt8] = []
        for letter in word where letter.isLetter || letter.isNumber {
            latin += Array((cyrillic[letter] ?? String(letter)).utf8)
        }
        var key: [UInt8] = []
        var index = 0
        while index < latin.count {
            let rest = latin[index...]
            let (length, replacement) = spelling(at: rest) ?? (1, [latin[index]])
            // Doubled letters are doubled in one spelling and not in the next.
            for byte in replacement where key.last != byte { key.append(byte) }
            index += length
        }
        return String(decoding: key, as: UTF8.self)
    }

    private static func spelling(at rest: ArraySlice<UInt8>) -> (Int, [UInt8])? {
        for (spelled, common) in spellings where rest.starts(with: spelled) { return (spelled.count, common) }
        return nil
    }
}

// SPDX-License-Identifier: Apache-2.0

/// The words of names, which `name_word` holds: a million patients have far fewer words than names, so what may stand anywhere
/// in a name is looked for there first.
package enum NameWords {
    /// The words of a folded name, or of a pattern of one, each once, in their order.
    package static func split(_ name: String) -> [String] {
        var words: [String] = []
        for word in name.unicodeScalars.split(whereSeparator: { !isPart($0) }) {
            let word = String(word)
            // By bytes, as SQLite compares them.
            if !words.contains(where: { $0.utf8.elementsEqual(word.utf8) }) { words.append(word) }
        }
        return words
    }

    /// A word, or a part of one, from its end.
    static func reversed(_ word: String) -> String {
        String(String.UnicodeScalarView(word.unicodeScalars.reversed()))
    }

    /// Whether a scalar belongs to a word. Each is judged by itself, so that a part of a name is split as the whole is.
    static func isPart(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "'", "`", "’": true
        case "\0"..."\u{7F}": false
        default:
            scalar.properties.isAlphabetic || scalar.properties.numericType != nil
                || [.nonspacingMark, .spacingMark, .enclosingMark].contains(scalar.properties.generalCategory)
        }
    }
}

/// What a pattern says about one word of a name.
struct NamePattern {
    /// The word's literal part.
    let text: String
    /// Of words, for those that the part stands in: with asterisks where the word may go on.
    let word: String
    /// No name matches the pattern but by such a word, and each with such a word does.
    let decides: Bool
    /// By these its words are looked up where these may begin and end as they like; empty: all are looked at.
    var trigrams: [String] = []

    /// How an index finds its words.
    enum Place { case beginning, end, anywhere }

    let place: Place

    /// An index has its words.
    var isIndexed: Bool { place != .anywhere || !trigrams.isEmpty }

    /// A name has a few words; a pattern may have thousands.
    private static let partsMaximum = 4

    /// The longest parts of a pattern between wildcards and separators, the longest first.
    static func parts(of pattern: String) -> [NamePattern] {
        let scalars = Array(pattern.unicodeScalars)
        var ranges: [Range<Int>] = []
        var start = 0
        for index in 0...scalars.count where index == scalars.count || !NameWords.isPart(scalars[index]) {
            if index > start { ranges.append(start..<index) }
            start = index + 1
        }
        let longest = ranges.sorted { ($1.count, $0.lowerBound) < ($0.count, $1.lowerBound) }
        return longest.prefix(partsMaximum).map { .init(scalars, $0) }
    }

    private init(_ scalars: [Unicode.Scalar], _ range: Range<Int>) {
        func isWildcard(_ index: Int) -> Bool {
            scalars.indices.contains(index) && "*?".unicodeScalars.contains(scalars[index])
        }
        text = String(String.UnicodeScalarView(scalars[range]))
        let (isOpenBefore, isOpenBehind) = (isWildcard(range.lowerBound - 1), isWildcard(range.upperBound))
        word = (isOpenBefore ? "*" : "") + text + (isOpenBehind ? "*" : "")
        place = isOpenBefore ? isOpenBehind ? .anywhere : .end : .beginning
        let around = scalars[..<range.lowerBound] + scalars[range.upperBound...]
        decides = place == .anywhere && around.allSatisfy { $0 == "*" }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Catalog

@Suite("Words of a sample")
struct SortedWordsTests {
    @Test(
        "As many begin with some letters as there are, by bytes",
        arguments: [
            ("", 8), ("A", 5), ("AN", 4), ("ANN", 3), ("ANNA", 2), ("ANNAB", 0), ("B", 0), ("И", 2), ("ИВАН", 1),
            ("Я", 0), ("Z", 1), ("ZZ", 0),
        ])
    func count(prefix: String, expected: Int) {
        let words = SortedWords(["ИВАН", "ANNA", "AN", "Z", "ANNA", "ANNI", "И", "ALL"])
        #expect(words.count(beginning: prefix) == expected)
        #expect(SortedWords().count(beginning: prefix) == 0)
    }

    @Test(
        "A word from its end is every scalar of it from its end",
        arguments: [("", ""), ("АБв", "вБА"), ("e\u{301}x", "x\u{301}e")])
    func reversed(word: String, expected: String) {
        #expect(NameWords.reversed(word).utf8.elementsEqual(expected.utf8))
    }
}

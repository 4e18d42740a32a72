// SPDX-License-Identifier: Apache-2.0
import Database

/// The texts of a study in which patterns with a wildcard in front are looked for, and the grams (pieces of a few characters)
/// by which `study_gram` finds them. That index is given ready words: the letter of a field, and a gram of it. So a number
/// that stands in one field makes no list of another longer.
enum StudyField: Int, CaseIterable {
    case patientID, accessionNumber, description

    /// In characters, the longest first. Numbers have ten letters only: in a million studies each three of them stand
    /// thousands of times, each five ten times, and a list that is read for a look-up grows with the archive.
    private var lengths: [Int] { self == .description ? [3] : [5, 3] }

    private var letter: UInt8 { [UInt8(ascii: "p"), UInt8(ascii: "a"), UInt8(ascii: "d")][rawValue] }

    /// The texts of a study, a column each.
    static let texts: StaticString = "SELECT patient_id, accession_number, study_description FROM study WHERE id = ?"

    static func texts(_ row: Statement) -> [String] { allCases.map { row.text($0.rawValue) ?? "" } }

    /// What `study_gram` holds of a study with these texts.
    static func words(of texts: [String]) -> String {
        var words: [UInt8] = []
        for (field, text) in zip(allCases, texts) {
            let characters = Characters(text.utf8)
            for length in field.lengths {
                characters.forEachGram(length) {
                    words.append(field.letter)
                    words += $0
                    words.append(UInt8(ascii: " "))
                }
            }
        }
        return String(decoding: words, as: UTF8.self)
    }

    /// All of these words that a text of this field has, each once.
    func words(of text: String) -> Set<String> {
        let characters = Characters(text.utf8)
        return lengths.reduce(into: []) { $0.formUnion(words(characters, $1)) }
    }

    /// The words that each text has that matches a pattern: of the longest grams for which it has enough letters in one piece.
    func words(ofPattern pattern: String) -> Set<String> {
        let runs = pattern.utf8.split { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") }.map(Characters.init)
        for length in lengths {
            let found = runs.reduce(into: Set()) { $0.formUnion(words($1, length)) }
            if !found.isEmpty { return found }
        }
        return []
    }

    private func words(_ characters: Characters, _ length: Int) -> Set<String> {
        var words: Set<String> = []
        characters.forEachGram(length) { words.insert(String(decoding: [letter] + $0, as: UTF8.self)) }
        return words
    }

    /// A text in which every character is part of a word to SQLite's "ascii" tokenizer: what is neither a letter nor a number
    /// stands 128 further on. It folds case, so that is done here already. Different texts may become the same by it, which
    /// gives a candidate too many, never one too few.
    private struct Characters {
        private var bytes: [UInt8] = []
        /// Where each character begins, and the end.
        private var starts: [Int] = []

        init(_ text: some Sequence<UInt8>) {
            for byte in text {
                if byte & 0xC0 != 0x80 { starts.append(bytes.count) }
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"): bytes.append(byte | 0x20)
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), 0x80...:
                    bytes.append(byte)
                default: bytes += [0xC2 + byte >> 6, 0x80 | byte & 0x3F]
                }
            }
            starts.append(bytes.count)
        }

        func forEachGram(_ length: Int, _ body: (ArraySlice<UInt8>) -> Void) {
            guard starts.count > length else { return }
            for first in 0..<starts.count - length { body(bytes[starts[first]..<starts[first + length]]) }
        }
    }
}

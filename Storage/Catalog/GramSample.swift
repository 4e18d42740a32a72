// SPDX-License-Identifier: Apache-2.0
import Database
import Platform

/// How often grams occur in the archive's texts of one kind, from a sample of them. An infix of ten letters has eight trigrams;
/// to intersect all of their lists costs as much as the commonest are long, while the rarest few already leave next to
/// nothing: 0.5 ms instead of 7.6 ms at a million studies.
final class GramSample: Sendable {
    package enum Kind: Sendable {
        /// Names of patients, whose words have trigrams.
        case names
        /// What `study_gram` holds: the fields of `StudyField`.
        case studies

        var highest: StaticString {
            switch self {
            case .names: "SELECT max(id) FROM patient_name"
            case .studies: "SELECT max(id) FROM study"
            }
        }

        var texts: StaticString {
            switch self {
            case .names: "SELECT folded FROM patient_name WHERE id = ?"
            case .studies: StudyField.texts
            }
        }

        func texts(_ row: Statement) -> [String] {
            switch self {
            case .names: [row.text(0) ?? ""]
            case .studies: StudyField.texts(row)
            }
        }

        func grams(of texts: [String]) -> Set<String> {
            switch self {
            case .names: GramSample.trigrams(of: texts[0][...])
            case .studies:
                StudyField.allCases.reduce(into: []) { $0.formUnion($1.words(of: texts[$1.rawValue])) }
            }
        }
    }

    private static let samples = 4096
    /// So many of the rarest are looked up; the rest is for the matcher.
    private static let chosen = 3
    /// Of a sample, more than chance brings about.
    private static let certain = 100

    private struct State {
        var counts: [String: Int] = [:]
        /// The sample itself, each of as many texts as the kind has columns.
        var texts: [[String]] = []
        /// Ids that were looked at; some may be gone.
        var examined = 0
        /// Highest id of a text when the sample was taken.
        var highest: Int64 = 0
        /// The words of names, forwards and backwards, and the spelling of each that all have in common.
        var words = SortedWords()
        var reversed = SortedWords()
        var keys = SortedWords()

        /// In how many texts of the sample the rarest of some grams is; nil: there are none.
        func countOfRarest(_ grams: Set<String>) -> Int? { grams.map { counts[$0] ?? 0 }.min() }

        /// Of all texts, where so many of the sample are.
        func ofAll(_ count: Int) -> Int64 { Int64(count) * highest / Int64(max(1, examined)) }
    }

    private let kind: Kind
    private let state = Monitor(State())

    init(_ kind: Kind) { self.kind = kind }

    /// The rarest of the grams in the literal runs of a pattern; empty where no run has three characters.
    /// - Parameter field: the one of studies that the pattern is for; nil: a name.
    func rarest(of pattern: String, _ field: StudyField?, in database: Database) throws(CatalogError) -> [String] {
        let grams = Self.grams(pattern, field)
        guard !grams.isEmpty else { return [] }
        try refresh(from: database)
        return state.withLock { state in
            grams.map { (text: $0, count: state.counts[$0] ?? 0) }
                .sorted { ($0.count, $0.text) < ($1.count, $1.text) }
                .prefix(Self.chosen).map(\.text)
        }
    }

    /// Whether a pattern certainly matches more than `number` texts: twice as many by a sample in which it matches so often
    /// that chance is out of the question.
    /// - Parameter field: the one of studies that the pattern is for; nil: a name.
    func matchesMore(than number: Int, _ pattern: String, _ field: StudyField?, in database: Database)
        throws(CatalogError) -> Bool
    {
        try refresh(from: database)
        let grams = Self.grams(pattern, field)
        return state.withLock { state in
            // No text matches the pattern that has not its rarest gram.
            guard state.countOfRarest(grams) ?? .max >= Self.certain else { return false }
            let matching = state.texts.count { WildcardMatcher.matches(pattern, $0[field?.rawValue ?? 0]) }
            return matching >= Self.certain && state.ofAll(matching) >= 2 * Int64(number)
        }
    }

    /// About how many texts have the rarest gram of a pattern; all, if it has none.
    func estimate(_ pattern: String, _ field: StudyField, in database: Database) throws(CatalogError) -> Int64 {
        try refresh(from: database)
        let grams = Self.grams(pattern, field)
        return state.withLock { state in state.countOfRarest(grams).map(state.ofAll) ?? state.highest }
    }

    /// How many names of the sample have, about, a word that may be that part.
    func count(of part: NamePattern, in database: Database) throws(CatalogError) -> Int {
        try refresh(from: database)
        return state.withLock { state in
            switch part.place {
            case .beginning: state.words.count(beginning: part.text)
            case .end: state.reversed.count(beginning: NameWords.reversed(part.text))
            case .anywhere: state.countOfRarest(Set(part.trigrams)) ?? 0
            }
        }
    }

    /// How many words of the sample's names begin like one of a fuzzy search.
    func count(ofWordsSpelled key: String, in database: Database) throws(CatalogError) -> Int {
        try refresh(from: database)
        return state.withLock { $0.keys.count(beginning: key) }
    }

    private static func grams(_ pattern: String, _ field: StudyField?) -> Set<String> {
        if let field { return field.words(ofPattern: pattern) }
        var found: Set<String> = []
        // The index is asked in words that a NUL would end.
        for run in pattern.unicodeScalars.split(whereSeparator: { $0 == "*" || $0 == "?" || $0 == "\0" }) {
            found.formUnion(trigrams(of: Substring(run)))
        }
        return found
    }

    private static func trigrams(of text: Substring) -> Set<String> {
        let scalars = Array(text.unicodeScalars)
        guard scalars.count >= 3 else { return [] }
        return Set(
            (0...scalars.count - 3).map { start in
                var trigram = ""
                trigram.unicodeScalars.append(contentsOf: scalars[start..<start + 3])
                return trigram
            })
    }

    /// Takes a new sample when there are twice as many texts as at the last.
    private func refresh(from database: Database) throws(CatalogError) {
        let highest = try database.statement(kind.highest).first([]) { $0.integer(0) } ?? 0
        guard highest > 2 * state.withLock({ $0.highest }) else { return }
        var counts: [String: Int] = [:]
        var sample: [[String]] = []
        var examined = 0
        let step = max(1, highest / Int64(Self.samples))
        for id in stride(from: Int64(1), through: highest, by: Int64.Stride(step)) {
            let texts = try database.statement(kind.texts).first([.integer(id)]) { kind.texts($0) }
            examined += 1
            guard let texts else { continue }
            sample.append(texts)
            for gram in kind.grams(of: texts) { counts[gram, default: 0] += 1 }
        }
        let words = kind == .names ? sample.flatMap { NameWords.split($0[0]) } : []
        let new = State(
            counts: counts, texts: sample, examined: examined, highest: highest, words: SortedWords(words),
            reversed: SortedWords(words.map(NameWords.reversed)),
            keys: SortedWords(try Self.keys(of: words, in: database)))
        state.withLock { $0 = new }
    }

    private static func keys(of words: [String], in database: Database) throws(CatalogError) -> [String] {
        var known: [String: String] = [:]
        for word in words where known[word] == nil {
            known[word] = try database.statement("SELECT key FROM name_word WHERE word = ?").first([.text(word)]) {
                $0.text(0) ?? ""
            }
        }
        return words.compactMap { known[$0] }
    }
}

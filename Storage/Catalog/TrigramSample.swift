// SPDX-License-Identifier: Apache-2.0
import Database
import Platform

/// How often trigrams occur in the archive's texts of one kind, from a sample of them. An infix of ten letters has eight trigrams; to
/// intersect all of their lists costs as much as the commonest are long, while the rarest few already leave next to
/// nothing: 0.5 ms instead of 7.6 ms at a million studies.
final class TrigramSample: Sendable {
    package enum Kind: Sendable {
        /// Names of patients.
        case names
        /// What `study_trigram` holds.
        case studies

        var highest: StaticString {
            switch self {
            case .names: "SELECT max(id) FROM patient_name"
            case .studies: "SELECT max(id) FROM study"
            }
        }

        var text: StaticString {
            switch self {
            case .names: "SELECT folded FROM patient_name WHERE id = ?"
            case .studies:
                """
                SELECT coalesce(p.patient_id, '') || char(10) || coalesce(s.accession_number, '') || char(10) ||
                    coalesce(s.study_description, '') FROM study s JOIN patient p ON p.id = s.patient WHERE s.id = ?
                """
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
        /// The sample itself, each text in its fields.
        var texts: [[String]] = []
        /// Highest id of a text when the sample was taken.
        var highest: Int64 = 0
    }

    private let kind: Kind
    private let state = Monitor(State())

    init(_ kind: Kind) { self.kind = kind }

    /// The rarest of the trigrams in the literal runs of a pattern; empty where no run has three characters.
    func rarest(of pattern: String, in database: Database) throws(CatalogError) -> [String] {
        let trigrams = Self.trigrams(pattern)
        guard !trigrams.isEmpty else { return [] }
        try refresh(from: database)
        return state.withLock { state in
            trigrams.map { (text: $0, count: state.counts[$0] ?? 0) }
                .sorted { ($0.count, $0.text) < ($1.count, $1.text) }
                .prefix(Self.chosen).map(\.text)
        }
    }

    /// Whether a pattern certainly matches more than `number` texts: twice as many by a sample in which it matches so often
    /// that chance is out of the question.
    /// - Parameter field: of the texts of studies, which of their three parts; nil: the only one.
    func matchesMore(than number: Int, _ pattern: String, field: Int?, in database: Database) throws(CatalogError)
        -> Bool
    {
        try refresh(from: database)
        let trigrams = Self.trigrams(pattern)
        return state.withLock { state in
            // No text has the pattern that has not its rarest trigram, whichever of its fields that is in.
            let rarest = trigrams.map { state.counts[$0] ?? 0 }.min() ?? Int.max
            guard rarest >= Self.certain, !state.texts.isEmpty else { return false }
            let matching = state.texts.count { fields in
                let field = field ?? 0
                return field < fields.count && WildcardMatcher.matches(pattern, fields[field])
            }
            return matching >= Self.certain
                && Int64(matching) * state.highest / Int64(state.texts.count) >= 2 * Int64(number)
        }
    }

    private static func trigrams(_ pattern: String) -> Set<String> {
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
        var texts: [[String]] = []
        let step = max(1, highest / Int64(Self.samples))
        for id in stride(from: Int64(1), through: highest, by: Int64.Stride(step)) {
            let text = try database.statement(kind.text).first([.integer(id)]) { $0.text(0) ?? "" }
            texts.append((text ?? "").split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
            for trigram in Self.trigrams(of: text?[...] ?? "") { counts[trigram, default: 0] += 1 }
        }
        state.withLock { $0 = State(counts: counts, texts: texts, highest: highest) }
    }
}

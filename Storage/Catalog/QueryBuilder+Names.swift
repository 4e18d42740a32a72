// SPDX-License-Identifier: Apache-2.0
import Database

/// How patients are found by their names: by the words of these, or by a name's beginning.
extension QueryBuilder {
    /// Whoever matches a name condition is in one of these.
    private struct NameSearch {
        /// Ids of words; who has one of them matches.
        var words: [SQLCondition] = []
        /// Ids of patients.
        var patients: [SQLCondition] = []
    }

    mutating func addPatientName(_ match: CatalogMatch) {
        if walksByName, query.level == .study, case .wildcard(let pattern) = match { return addWalkedName(pattern) }
        let search = search(match)
        var patients = search.patients
        if !search.words.isEmpty { patients.append(self.patients(having: Self.union(search.words))) }
        let those = Self.union(patients)
        // Where dates lead, they do, and not the patients, of whom one may have all the studies of an archive.
        let column = query.level == .patient ? "p.id" : datesLead ? "+l.patient" : "l.patient"
        conditions.add("\(column) IN (\(those.sql))", those.values)
    }

    private static func union(_ parts: [SQLCondition]) -> SQLCondition {
        SQLCondition(sql: parts.map(\.sql).joined(separator: " UNION ALL "), values: parts.flatMap(\.values))
    }

    /// Those with one of these words, among what is seen.
    private func patients(having words: SQLCondition) -> SQLCondition {
        var inner = SQLConjunction()
        inner.add("w.word IN (\(words.sql))", words.values)
        if let scope { inner.add(scope.word("w")) }
        let those = inner.condition
        return SQLCondition(sql: "SELECT w.patient FROM study_word w WHERE \(those.sql)", values: those.values)
    }

    private func search(_ match: CatalogMatch) -> NameSearch {
        var search = NameSearch()
        // A condition on names that is no infix pattern, or another one, has no part.
        let part = part(of: match)
        if let part, part.decides, !datesLead, scope?.shared.isEmpty ?? true {
            search.words.append(words(part))
        } else {
            search.patients.append(patients(match))
        }
        switch query.fuzzyPatientWords.count {
        case 0: break
        case 1 where !datesLead: search.words.append(Self.words(spelled: query.fuzzyPatientWords[0]))
        default: search.patients.append(patientsAlike())
        }
        return search
    }

    private func part(of match: CatalogMatch) -> NamePattern? {
        guard case .wildcard(let pattern) = match, pattern == Self.infix(in: query) else { return nil }
        return part
    }

    /// Those with a name that matches.
    private func patients(_ match: CatalogMatch) -> SQLCondition {
        var inner = SQLConjunction()
        var candidates = datesLead ? datedPatients : nil
        if !datesLead, let words = part(of: match).map(words) {
            candidates = SQLCondition(
                sql: "SELECT w.patient FROM study_word w WHERE w.word IN (\(words.sql))", values: words.values)
        }
        // Each patient once: "ANONYMOUS" has as many names as studies. The unary plus keeps the index of names from being
        // preferred.
        if let candidates { inner.add("n.patient IN (\(candidates.sql))", candidates.values) }
        inner.addText(candidates == nil ? "n.folded" : "+n.folded", match)
        if let scope { inner.add(scope.name()) }
        let those = inner.condition
        return SQLCondition(sql: "SELECT n.patient FROM patient_name n WHERE \(those.sql)", values: those.values)
    }

    private var datedPatients: SQLCondition {
        let dates = Self.dates(query, "t.study_date")
        return SQLCondition(
            sql: "SELECT y.patient FROM study t CROSS JOIN study_patient y ON y.study = t.id WHERE \(dates.sql)",
            values: dates.values)
    }

    /// Those who have all words of a fuzzy search. Who has the first one, if that is rare, is asked for the others: of a family
    /// name and a given name the second may be a tenth of the archive's (220 ms at a million studies, where both were read).
    /// All words of a patient stand at each of its studies, or at study 0.
    private func patientsAlike() -> SQLCondition {
        let each = query.fuzzyPatientWords.map { patients(having: Self.words(spelled: $0)) }
        guard hasRareWord || datesLead else {
            let all = each.map(\.sql).joined(separator: " INTERSECT ")
            return SQLCondition(sql: "SELECT patient FROM (\(all))", values: each.flatMap(\.values))
        }
        var inner = SQLConjunction()
        let first = datesLead ? datedPatients : each[0]
        inner.add("c.id IN (\(first.sql))", first.values)
        for word in query.fuzzyPatientWords.dropFirst(datesLead ? 0 : 1) {
            var other = SQLConjunction()
            other.add(Self.spelled(word))
            if let scope { other.add(scope.word("x")) }
            let condition = other.condition
            inner.add(
                """
                EXISTS (SELECT 1 FROM study_word x CROSS JOIN name_word v ON v.id = x.word WHERE x.patient = c.id
                    AND x.study IN (0, (SELECT min(m.study) FROM study_patient m WHERE m.patient = c.id))
                    AND \(condition.sql))
                """, condition.values)
        }
        let those = inner.condition
        return SQLCondition(sql: "SELECT c.id FROM patient c WHERE \(those.sql)", values: those.values)
    }

    /// The condition of a name, asked of one study after the other.
    private mutating func addWalkedName(_ pattern: String) {
        let patients = "SELECT 1 FROM study_patient k JOIN"
        var condition =
            "EXISTS (\(patients) patient_name n ON n.patient = k.patient WHERE k.study = s.id AND matches(?, n.folded))"
        var values: [Statement.Value] = [.text(pattern)]
        if !query.fuzzyPatientWords.isEmpty {
            let spelled = query.fuzzyPatientWords.map(Self.spelled)
            let words = spelled.map { word in
                """
                EXISTS (SELECT 1 FROM study_word w CROSS JOIN name_word v ON v.id = w.word
                    WHERE w.study IN (k.study, 0) AND w.patient = k.patient AND \(word.sql))
                """
            }
            condition +=
                " OR EXISTS (SELECT 1 FROM study_patient k WHERE k.study = s.id AND \(words.joined(separator: " AND ")))"
            for word in spelled { values += word.values }
        }
        conditions.add("(\(condition))", values)
    }

    // MARK: Rows of studies

    /// Gives rows of (study or 0, patient), unordered and some more than once, where patients' names are all that is asked for;
    /// else nil. With 0, all of the patient's studies match: `linkStatement`.
    func nameStatement() -> SQLCondition? {
        guard query.level == .study, scope == nil, query.conditions.count == 1,
            query.conditions[0].column == .patientName, query.dateTimeRanges.isEmpty, query.request.isEmpty,
            query.modalitiesInStudy == nil, query.sopClassesInStudy == nil, Self.infix(in: query) == nil || part != nil
        else { return nil }
        let search = search(query.conditions[0].match)
        var rows: [SQLCondition] = []
        if !search.words.isEmpty { rows.append(studies(of: Self.union(search.words))) }
        if !search.patients.isEmpty {
            let patients = Self.union(search.patients)
            rows.append(
                SQLCondition(
                    sql: """
                        SELECT l.study, l.patient FROM study_patient l
                            WHERE l.patient IN (\(patients.sql))\(visibility(ofStudy: "l.study"))
                        """, values: patients.values))
        }
        return Self.union(rows)
    }

    /// The same rows of those whose name has a word that begins like one of a fuzzy search, up to a study.
    func alikeStatement(_ word: String, through last: Int64) -> SQLCondition {
        var found = studies(of: Self.words(spelled: word))
        found.sql += " AND w.study <= ?"
        found.values.append(.integer(last))
        return found
    }

    private func studies(of words: SQLCondition) -> SQLCondition {
        SQLCondition(
            sql: """
                SELECT w.study, w.patient FROM study_word w
                    WHERE w.word IN (\(words.sql))\(visibility(ofStudy: "w.study"))
                """, values: words.values)
    }

    /// Gives (study, patient) of one patient, up to a study.
    func linkStatement(of patient: Int64, through last: Int64) -> SQLCondition {
        let seen = visibility(ofStudy: "l.study")
        return SQLCondition(
            sql: "SELECT l.study, l.patient FROM study_patient l WHERE l.patient = ? AND l.study <= ?\(seen)",
            values: [.integer(patient), .integer(last)])
    }

    private func visibility(ofStudy id: String) -> String {
        hidesSome ? " AND " + Self.visibility(.study, query.shownReasons, id: id) : ""
    }

    // MARK: Words

    /// The words in which the looked-up part of a name may stand.
    private func words(_ part: NamePattern) -> SQLCondition {
        let condition = Self.spelled(part)
        return SQLCondition(sql: "SELECT v.id FROM name_word v WHERE \(condition.sql)", values: condition.values)
    }

    /// Whether a word `v` may be that part.
    static func spelled(_ part: NamePattern) -> SQLCondition {
        if part.place == .end { return beginning("v.reversed", NameWords.reversed(part.text)) }
        var inner = SQLConjunction()
        if !part.trigrams.isEmpty {
            inner.add(
                "v.id IN (SELECT rowid FROM name_word_trigram WHERE name_word_trigram MATCH ?)",
                [.text(conjunction(part.trigrams))])
        }
        inner.addText("v.word", .wildcard(part.word))
        return inner.condition
    }

    /// The words that begin like one of a fuzzy search, however they are spelled.
    static func words(spelled key: String) -> SQLCondition {
        let spelled = spelled(key)
        return SQLCondition(sql: "SELECT v.id FROM name_word v WHERE \(spelled.sql)", values: spelled.values)
    }

    /// Whether a word `v` is one of these.
    static func spelled(_ key: String) -> SQLCondition {
        beginning("v.key", key)
    }

    private static func beginning(_ column: String, _ text: String) -> SQLCondition {
        SQLCondition(sql: "\(column) >= ? AND \(column) < ?", values: [.text(text), .text(text + "\u{10FFFF}")])
    }

    /// The infix pattern of a patient's name that a query has, if it has one.
    static func infix(in query: CatalogQuery) -> String? {
        for case .wildcard(let pattern) in query.conditions.lazy.filter({ $0.column == .patientName }).map(\.match)
        where isInfix(pattern) {
            return pattern
        }
        return nil
    }
}

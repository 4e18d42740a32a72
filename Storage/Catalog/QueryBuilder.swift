// SPDX-License-Identifier: Apache-2.0
import Database

/// Makes the SQL that finds the row ids of a query. Only names of our own columns become part of its text; every value is
/// bound.
struct QueryBuilder {
    private let query: CatalogQuery
    /// Trigrams to look up for the infix pattern of a patient's name; all of them must occur.
    private let trigrams: [String]
    /// The same for each pattern of `studyPatterns`.
    private let studyTrigrams: [[String]]
    /// Studies are looked at in the order of their ids until there are enough: for conditions that many of them meet.
    private let isWalking: Bool
    private(set) var values: [Statement.Value] = []
    private var conditions: [String] = []
    private var usesPatient = false
    private var usesStudy = false
    private var usesSeries = false
    /// Names are asked of one study after the other, for who sees everything only.
    private var walksByName: Bool { isWalking && scope == nil }
    /// nil: the asker sees everything.
    private let scope: ScopeFilter?
    /// Levels with a condition on values that an asker must know.
    private var valued: Set<CatalogLevel> = []

    /// - Parameters:
    ///   - hidesSome: something is hidden from somebody.
    ///   - scope: what the asker sees; nil: everything.
    init(
        _ query: CatalogQuery, trigrams: [String] = [], studyTrigrams: [[String]] = [], isWalking: Bool = false,
        hidesSome: Bool = false, scope: ScopeFilter? = nil
    ) {
        self.query = query
        self.scope = scope
        self.trigrams = trigrams
        self.studyTrigrams = studyTrigrams
        self.isWalking = isWalking
        for trigrams in studyTrigrams where !trigrams.isEmpty { addStudyTrigrams(trigrams) }
        for condition in query.conditions where condition.column != .studyDate { add(condition) }
        for range in query.dateTimeRanges { add(range) }
        let isNarrow = !conditions.isEmpty
        addContent(kind: 1, query.modalitiesInStudy)
        addContent(kind: 2, query.sopClassesInStudy)
        // Beside the contents of a study, its date has decided already.
        var isDecided = isWalking || (!isNarrow && !conditions.isEmpty)
        if scope?.shownReasons.isEmpty == true, !isDecided, !isNarrow, query.request.isEmpty {
            addSeenStudies()
            isDecided = true
        }
        for condition in studyDates { addStudyDate(condition.match, isDecided: isDecided) }
        addRequest()
        if hidesSome { conditions.append(Self.visibility(query.level, query.shownReasons)) }
        addScope()
    }

    // MARK: Scope

    /// Only what the asker sees, found by nothing but what it may know.
    private mutating func addScope() {
        guard let scope else { return }
        // Told by the study already: else the time would grow with what is in one that is not seen.
        if query.level > .study, scope.shownReasons.isEmpty {
            if query.level == .instance { touch(.series) }
            add(scope.seesStudy(usesStudy || usesPatient ? "s.id" : "e.study"))
            if query.level == .instance { add(scope.sees(.series, known: false)) }
        }
        add(scope.sees(query.level, known: valued.contains(query.level)))
        // Above, what is seen follows from the row; what is known does not.
        for level in valued where level > .patient && level < query.level { add(scope.sees(level, known: true)) }
        if usesPatient, query.level > .patient {
            add(scope.link(study: "l.study", patient: "l.patient", known: valued.contains(.patient)))
        }
        if query.level == .instance { touch(.series) }
    }

    /// Where nothing else narrows the search, it begins with the studies that the asker sees.
    private mutating func addSeenStudies() {
        guard let scope else { return }
        let studies = scope.studies(dates: studyDates.map(\.match), Self.text)
        switch query.level {
        case .patient:
            add(
                SQLCondition(
                    sql: "p.id IN (SELECT y.patient FROM study_patient y WHERE y.study IN (\(studies.sql)))",
                    values: studies.values))
        case .study, .series, .instance:
            touch(.study)
            add(SQLCondition(sql: "s.id IN (\(studies.sql))", values: studies.values))
        }
    }

    private mutating func add(_ condition: SQLCondition) {
        conditions.append(condition.sql)
        values += condition.values
    }

    private static func text(_ column: String, _ match: CatalogMatch) -> SQLCondition {
        var inner = QueryBuilder(CatalogQuery(level: .study, scope: .everything(as: "")))
        inner.addText(column, match)
        return SQLCondition(
            sql: inner.conditions.isEmpty ? "1" : inner.conditions.joined(separator: " AND "), values: inner.values)
    }

    /// Whether a row is seen by an asker who sees what is hidden for some reasons, too.
    static func visibility(_ level: CatalogLevel, _ shown: HiddenReasons) -> String {
        let hidden = "SELECT 1 FROM hidden h WHERE h.level = \(level.rawValue) AND h.id = \(alias(level)).id"
        if shown.isEmpty { return "NOT EXISTS (\(hidden))" }
        if level == .instance { return "NOT EXISTS (\(hidden) AND h.reasons & ~\(shown.rawValue) <> 0)" }
        return "(NOT EXISTS (\(hidden)) OR EXISTS (\(hidden) AND h.reasons & ~\(shown.rawValue) = 0))"
    }

    /// Gives rows of (id, id of the patient that matched or NULL), in the order of ids, those behind a bound id first.
    /// The unary plus keeps the id's own order from being preferred to the index that the conditions ask for.
    mutating func statement(after id: Int64, limit: Int) -> String {
        let alias = Self.alias(query.level)
        // A study in conflict is found under two patients; where both match, it is answered as its own one's.
        let patient =
            usesPatient && query.level > .patient
            ? "coalesce(max(CASE WHEN l.patient = s.patient THEN l.patient END), min(l.patient))" : "NULL"
        let group = usesPatient && query.level > .patient ? " GROUP BY \(alias).id" : ""
        let all = conditions + ["+\(alias).id > ?"]
        values += [.integer(id), .integer(Int64(limit))]
        return
            "SELECT \(alias).id, \(patient) FROM \(tables) WHERE \(all.joined(separator: " AND "))\(group) ORDER BY +\(alias).id LIMIT ?"
    }

    /// Rows in the order of their ids, which the search follows through a part of them.
    mutating func walkingStatement(behind id: Int64, through last: Int64, limit: Int) -> String {
        let alias = Self.alias(query.level)
        values += [.integer(id), .integer(last), .integer(Int64(limit))]
        let all = conditions + ["\(alias).id > ?", "\(alias).id <= ?"]
        return
            "SELECT \(alias).id, NULL FROM \(tables) WHERE \(all.joined(separator: " AND ")) ORDER BY \(alias).id LIMIT ?"
    }

    /// The first rows of a list of what the asker sees, up to an id.
    mutating func statement(in list: ScopeFilter.StudyList, through last: Int64, limit: Int) -> String {
        switch list {
        case .organisation(let organisation):
            values += [.integer(organisation), .integer(last), .integer(Int64(limit))]
            let all = conditions + ["w.organisation = ?", "w.study <= ?"]
            return """
                SELECT s.id, NULL FROM study_count w CROSS JOIN study s ON s.id = w.study
                    WHERE \(all.joined(separator: " AND ")) ORDER BY w.study LIMIT ?
                """
        case .shared:
            let studies = scope?.sharedStudies ?? SQLCondition(sql: "NULL")
            values += studies.values + [.integer(Int64(limit))]
            let all = conditions + ["s.id IN (\(studies.sql))"]
            return "SELECT s.id, NULL FROM study s WHERE \(all.joined(separator: " AND ")) ORDER BY s.id LIMIT ?"
        }
    }

    /// How many studies have contents of these kinds, or these dates, by an index alone; one may count twice.
    static func indexCount(
        _ query: CatalogQuery, upTo maximum: Int, scope: ScopeFilter?
    ) -> (sql: String, values: [Statement.Value]) {
        if let scope { return seenCount(query, upTo: maximum, scope) }
        var inner = QueryBuilder(CatalogQuery(level: .study, scope: .everything(as: "")))
        var source = "study s WHERE "
        if let match = query.modalitiesInStudy ?? query.sopClassesInStudy {
            let kind = query.modalitiesInStudy == nil ? 2 : 1
            inner.addText("c.value", match)
            for condition in query.conditions { inner.addText("c.date", condition.match) }
            source = "study_content c WHERE c.organisation = 0 AND c.kind = \(kind) AND "
        } else {
            for condition in query.conditions { inner.addText("s.study_date", condition.match) }
        }
        let condition = inner.conditions.joined(separator: " AND ")
        return (
            "SELECT count(*) FROM (SELECT 1 FROM \(source)\(condition) LIMIT ?)",
            inner.values + [.integer(Int64(maximum))]
        )
    }

    /// The same of what an asker sees.
    private static func seenCount(
        _ query: CatalogQuery, upTo maximum: Int, _ scope: ScopeFilter
    ) -> (sql: String, values: [Statement.Value]) {
        let dates = query.conditions.map(\.match)
        let source: SQLCondition
        if let match = query.modalitiesInStudy ?? query.sopClassesInStudy {
            var conditions = [text("c.value", match)] + dates.map { text("c.date", $0) }
            if !dates.isEmpty { conditions.append(scope.dateIsKnown) }
            source = scope.contents(
                kind: query.modalitiesInStudy == nil ? 2 : 1,
                SQLCondition(
                    sql: conditions.map(\.sql).joined(separator: " AND "), values: conditions.flatMap(\.values)))
        } else {
            source = scope.studies(dates: dates, text)
        }
        // What two of them have counts once.
        return (
            "SELECT count(*) FROM (SELECT DISTINCT study FROM (\(source.sql)) LIMIT ?)",
            source.values + [.integer(Int64(maximum))]
        )
    }

    private var tables: String {
        var tables = "\(query.level.table) \(Self.alias(query.level))"
        let needsStudy = usesStudy || usesPatient
        if query.level == .instance, usesSeries || needsStudy { tables += " JOIN series e ON e.id = i.series" }
        if query.level > .study, needsStudy { tables += " JOIN study s ON s.id = e.study" }
        if query.level > .patient, usesPatient {
            tables += " JOIN study_patient l ON l.study = s.id JOIN patient p ON p.id = l.patient"
        }
        return tables
    }

    private static func alias(_ level: CatalogLevel) -> String { ["p", "s", "e", "i"][level.rawValue] }

    private mutating func touch(_ level: CatalogLevel) {
        switch level {
        case .patient: usesPatient = true
        case .study: usesStudy = true
        case .series: usesSeries = true
        case .instance: break
        }
    }

    // MARK: Conditions

    private mutating func add(_ condition: CatalogCondition) {
        let column = condition.column
        // Walking looks at a name by its own way, without the patient's row.
        if !(walksByName && column == .patientName) { touch(column.level) }
        // Names are told apart by who sent them.
        if !column.isKey, column != .patientName { valued.insert(column.level) }
        let alias = Self.alias(column.level)
        switch column.kind {
        case .personName where column == .patientName: addPatientName(condition.match)
        case .personName: addName("\(alias).\(column.foldedName)", condition.match)
        case .time: addTime("\(alias).\(column.sqlName)", condition.match)
        case .date, .text: addText("\(alias).\(column.sqlName)", condition.match)
        }
    }

    private mutating func addText(_ column: String, _ match: CatalogMatch) {
        switch match {
        case .equals(let value):
            conditions.append("\(column) = ?")
            values.append(.text(value))
        case .anyOf(let list):
            conditions.append("\(column) IN (\(list.map { _ in "?" }.joined(separator: ", ")))")
            values += list.map { .text($0) }
        case .wildcard(let pattern):
            addPrefix(column, pattern)
            conditions.append("matches(?, \(column))")
            values.append(.text(pattern))
        case .range(let from, let to):
            addBound(column, ">=", from)
            addBound(column, "<=", to)
        }
    }

    /// "1015" as an upper bound takes in all of that minute: no digit or point sorts behind a colon.
    private mutating func addTime(_ column: String, _ match: CatalogMatch) {
        guard case .range(let from, let to) = match else { return addText(column, match) }
        addBound(column, ">=", from)
        addBound(column, "<", to.map { $0 + ":" })
    }

    private mutating func addBound(_ column: String, _ comparison: String, _ value: String?) {
        guard let value else { return }
        conditions.append("\(column) \(comparison) ?")
        values.append(.text(value))
    }

    /// The literal beginning of a pattern as a range that an index can serve.
    private mutating func addPrefix(_ column: String, _ pattern: String) {
        let prefix = Self.literalBeginning(pattern)
        guard !prefix.isEmpty else { return }
        conditions.append("\(column) >= ? AND \(column) < ?")
        values += [.text(prefix), .text(prefix + "\u{10FFFF}")]
    }

    private static func literalBeginning(_ pattern: String) -> String {
        String(pattern.prefix { $0 != "*" && $0 != "?" })
    }

    /// - Parameter isDecided: the index of dates is not to be used.
    private mutating func addStudyDate(_ match: CatalogMatch, isDecided: Bool) {
        touch(.study)
        valued.insert(.study)
        addText(isDecided ? "+s.study_date" : "s.study_date", match)
    }

    /// Patterns with a wildcard in front, or of a column without an index: candidates come from the trigrams of the studies'
    /// texts. A study in conflict stands there under its first patient only, so the few of them are candidates always.
    private mutating func addStudyTrigrams(_ trigrams: [String]) {
        touch(.study)
        conditions.append(
            "s.id IN (SELECT rowid FROM study_trigram WHERE study_trigram MATCH ? UNION ALL SELECT id FROM study WHERE flags <> 0)"
        )
        values.append(.text(Self.conjunction(trigrams)))
    }

    private static func conjunction(_ trigrams: [String]) -> String {
        trigrams.map { "\"" + $0.replacing("\"", with: "\"\"") + "\"" }.joined(separator: " AND ")
    }

    /// The patterns of a query for which `study_trigram` has candidates.
    static func studyPatterns(in query: CatalogQuery) -> [String] {
        guard query.level >= .study else { return [] }
        return query.conditions.compactMap { condition in
            switch (condition.column, condition.match) {
            case (.patientID, .wildcard(let pattern)), (.accessionNumber, .wildcard(let pattern)):
                isInfix(pattern) ? pattern : nil
            case (.studyDescription, .wildcard(let pattern)), (.studyDescription, .equals(let pattern)): pattern
            default: nil
            }
        }
    }

    /// What a query for studies asks for, if it is so little that many may match: then walking through them is worth a
    /// thought.
    enum Breadth {
        case all
        /// Contents, or dates, or both.
        case index
        /// One pattern of a text: in the samples of names (nil), or in that field of the studies' texts.
        case pattern(String, field: Int?)
    }

    static func breadth(_ query: CatalogQuery) -> Breadth? {
        guard query.level == .study, query.dateTimeRanges.isEmpty, query.request.isEmpty else { return nil }
        let hasContent = query.modalitiesInStudy != nil || query.sopClassesInStudy != nil
        if query.conditions.allSatisfy({ $0.column == .studyDate }) {
            return hasContent || !query.conditions.isEmpty ? .index : .all
        }
        guard !hasContent, query.conditions.count == 1, case .wildcard(let pattern) = query.conditions[0].match else {
            return nil
        }
        switch query.conditions[0].column {
        case .patientName: return .pattern(pattern, field: nil)
        case .patientID: return .pattern(pattern, field: 0)
        case .accessionNumber: return .pattern(pattern, field: 1)
        case .studyDescription: return .pattern(pattern, field: 2)
        default: return nil
        }
    }

    // MARK: Names

    /// Names of physicians: as a whole or by any component group. The beginning bounds the index of those whose first
    /// group it may be; the few names of several groups have an index of their own.
    private mutating func addName(_ column: String, _ match: CatalogMatch) {
        switch match {
        case .equals(let value), .wildcard(let value):
            let prefix = Self.literalBeginning(value)
            if !prefix.isEmpty {
                conditions.append("(\(column) >= ? AND \(column) < ? OR instr(\(column), '=') > 0)")
                values += [.text(prefix), .text(prefix + "\u{10FFFF}")]
            }
            conditions.append("matches_name(?, \(column))")
            values.append(.text(value))
        case .anyOf, .range: addText(column, match)
        }
    }

    private mutating func addPatientName(_ match: CatalogMatch) {
        if walksByName, query.level == .study, case .wildcard(let pattern) = match {
            return addWalkedName(pattern)
        }
        var inner = QueryBuilder(CatalogQuery(level: .patient, scope: .everything(as: "")))
        if case .wildcard(let pattern) = match, pattern == Self.infix(in: query), !trigrams.isEmpty {
            inner.conditions.append(
                "n.id IN (SELECT rowid FROM patient_name_trigram WHERE patient_name_trigram MATCH ?)")
            inner.values.append(.text(Self.conjunction(trigrams)))
            inner.conditions.append("matches(?, n.folded)")
            inner.values.append(.text(pattern))
        } else {
            inner.addText("n.folded", match)
        }
        if let scope { inner.add(scope.name()) }
        var selected = "SELECT n.patient FROM patient_name n WHERE \(inner.conditions.joined(separator: " AND "))"
        values += inner.values
        if !query.fuzzyPatientWords.isEmpty {
            let seen = scope.map { $0.word() }
            let condition = seen.map { " AND " + $0.sql } ?? ""
            let words = query.fuzzyPatientWords.map { _ in
                "SELECT w.patient FROM patient_word w WHERE w.word >= ? AND w.word < ?\(condition)"
            }
            selected += " UNION SELECT patient FROM (\(words.joined(separator: " INTERSECT ")))"
            for word in query.fuzzyPatientWords {
                values += [.text(word), .text(word + "\u{10FFFF}")] + (seen?.values ?? [])
            }
        }
        conditions.append("p.id IN (\(selected))")
    }

    /// The same condition, asked of one study after the other.
    private mutating func addWalkedName(_ pattern: String) {
        let patients = "SELECT 1 FROM study_patient k JOIN"
        var condition =
            "EXISTS (\(patients) patient_name n ON n.patient = k.patient WHERE k.study = s.id AND matches(?, n.folded))"
        values.append(.text(pattern))
        if !query.fuzzyPatientWords.isEmpty {
            let words = query.fuzzyPatientWords.map { _ in
                "EXISTS (SELECT 1 FROM patient_word w WHERE w.patient = k.patient AND w.word >= ? AND w.word < ?)"
            }
            condition +=
                " OR EXISTS (SELECT 1 FROM study_patient k WHERE k.study = s.id AND \(words.joined(separator: " AND ")))"
            for word in query.fuzzyPatientWords { values += [.text(word), .text(word + "\u{10FFFF}")] }
        }
        conditions.append("(\(condition))")
    }

    /// The infix pattern of a patient's name that a query has, if it has one.
    static func infix(in query: CatalogQuery) -> String? {
        for case .wildcard(let pattern) in query.conditions.lazy.filter({ $0.column == .patientName }).map(\.match)
        where isInfix(pattern) {
            return pattern
        }
        return nil
    }

    /// A pattern with a literal beginning is served by the plain index.
    private static func isInfix(_ pattern: String) -> Bool { pattern.first == "*" || pattern.first == "?" }

    // MARK: Across tables

    private mutating func add(_ range: CatalogDateTimeRange) {
        touch(range.dateColumn.level)
        valued.insert(range.dateColumn.level)
        let alias = Self.alias(range.dateColumn.level)
        let date = "\(alias).\(range.dateColumn.sqlName)"
        let moment = "(\(date) || coalesce(\(alias).\(range.timeColumn.sqlName), ''))"
        // The date alone bounds the index; the moment decides.
        addBound(date, ">=", range.fromDate)
        addBound(date, "<=", range.toDate)
        if let from = range.fromDate { addBound(moment, ">=", from + (range.fromTime ?? "")) }
        if let to = range.toDate { addBound(moment, "<", to + (range.toTime ?? "") + ":") }
    }

    /// Modalities and SOP classes in study. They are rarely selective, so where anything else is asked for too, the rows
    /// that are found by that are looked up one by one; only the study's date stands beside them in their index.
    private mutating func addContent(kind: Int, _ match: CatalogMatch?) {
        guard let match else { return }
        touch(.study)
        var inner = QueryBuilder(CatalogQuery(level: .study, scope: .everything(as: "")))
        inner.addText("c.value", match)
        let isAlone = conditions.isEmpty && !isWalking
        if isAlone { for condition in studyDates { inner.addText("c.date", condition.match) } }
        let value = inner.conditions.joined(separator: " AND ")
        if let scope {
            let wanted = SQLCondition(sql: value, values: inner.values)
            guard !isAlone else {
                let studies = scope.contents(kind: kind, wanted)
                return add(SQLCondition(sql: "s.id IN (\(studies.sql))", values: studies.values))
            }
            let seen = scope.sees("c.organisation", in: "c.study")
            return add(
                SQLCondition(
                    sql: """
                        EXISTS (SELECT 1 FROM study_content c WHERE c.study = s.id AND c.kind = \(kind) AND \(value)
                            AND \(seen.sql))
                        """, values: inner.values + seen.values))
        }
        conditions.append(
            isAlone
                ? "s.id IN (SELECT c.study FROM study_content c WHERE c.organisation = 0 AND c.kind = \(kind) AND \(value))"
                : "EXISTS (SELECT 1 FROM study_content c WHERE c.study = s.id AND c.organisation = 0 AND c.kind = \(kind) AND \(value))"
        )
        values += inner.values
    }

    private var studyDates: [CatalogCondition] { query.conditions.filter { $0.column == .studyDate } }

    private mutating func addRequest() {
        guard !query.request.isEmpty else { return }
        touch(.study)
        var inner = QueryBuilder(CatalogQuery(level: .series, scope: .everything(as: "")))
        for (field, match) in query.request { inner.addText("r.\(field.rawValue)", match) }
        if let scope { inner.add(scope.sees("r.organisation", in: "x.study")) }
        let condition = inner.conditions.joined(separator: " AND ")
        switch query.level {
        case .patient, .study:
            conditions.append(
                "s.id IN (SELECT x.study FROM series_request r JOIN series x ON x.id = r.series WHERE \(condition))")
        case .series, .instance:
            touch(.series)
            conditions.append(
                "e.id IN (SELECT r.series FROM series_request r JOIN series x ON x.id = r.series WHERE \(condition))")
        }
        values += inner.values
    }
}

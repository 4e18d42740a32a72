// SPDX-License-Identifier: Apache-2.0
import Database

/// Makes the SQL that finds the row ids of a query. Only names of our own columns become part of its text; every value is
/// bound.
struct QueryBuilder {
    let query: CatalogQuery
    /// What is looked up for the infix pattern of a patient's name; nil: there is none, or nothing in it but wildcards, or
    /// dates lead.
    let part: NamePattern?
    /// Of several words of a fuzzy search the first is so rare that who has it is asked for the others.
    let hasRareWord: Bool
    /// Studies of the dates that are asked for are so few that all else is asked of these alone.
    let datesLead: Bool
    /// Words of `study_gram` to look up for each pattern of `studyPatterns`.
    private let studyGrams: [[String]]
    /// Studies are looked at in the order of their ids until there are enough: for conditions that many of them meet.
    private let isWalking: Bool
    let hidesSome: Bool
    var conditions = SQLConjunction()
    /// What is bound in a statement behind the conditions' values.
    private var limits: [Statement.Value] = []
    var values: [Statement.Value] { conditions.values + limits }
    /// The study's patients, by their link to it.
    private var usesPatient = false
    /// Their rows: a condition on names needs none.
    private var usesPatientRow = false
    private var usesStudy = false
    private var usesSeries = false
    /// Names are asked of one study after the other, for who sees everything only.
    var walksByName: Bool { isWalking && scope == nil }
    /// nil: the asker sees everything.
    let scope: ScopeFilter?
    /// Levels with a condition on values that an asker must know.
    private var valued: Set<CatalogLevel> = []

    /// - Parameters:
    ///   - hidesSome: something is hidden from somebody.
    ///   - scope: what the asker sees; nil: everything.
    init(
        _ query: CatalogQuery, part: NamePattern? = nil, hasRareWord: Bool = false, datesLead: Bool = false,
        studyGrams: [[String]] = [], isWalking: Bool = false, hidesSome: Bool = false, scope: ScopeFilter? = nil
    ) {
        self.query = query
        self.scope = scope
        self.part = part
        self.hasRareWord = hasRareWord
        self.datesLead = datesLead
        self.studyGrams = studyGrams
        self.isWalking = isWalking
        self.hidesSome = hidesSome
        for grams in studyGrams where !grams.isEmpty { addStudyGrams(grams) }
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
        if hidesSome { conditions.add(Self.visibility(query.level, query.shownReasons)) }
        addScope()
    }

    // MARK: Scope

    /// Only what the asker sees, found by nothing but what it may know.
    private mutating func addScope() {
        guard let scope else { return }
        if query.level == .instance { touch(.series) }
        var form = scope.form << 8 | query.level.rawValue << 2 | (usesStudy ? 2 : 0) | (usesPatient ? 1 : 0)
        for level in valued { form |= 16 << level.rawValue }
        let text = scope.texts.text(form) { scopeConditions(scope) }
        let seen = scope.seenValues
        conditions.add(text.sql, (0..<text.count).flatMap { _ in seen })
    }

    /// Each has the same values, `seenValues`.
    private func scopeConditions(_ scope: ScopeFilter) -> [SQLCondition] {
        var all: [SQLCondition] = []
        // Told by the study already: else the time would grow with what is in one that is not seen.
        if query.level > .study, scope.shownReasons.isEmpty {
            all.append(scope.seesStudy(usesStudy || usesPatient ? "s.id" : "e.study"))
            if query.level == .instance { all.append(scope.sees(.series, known: false)) }
        }
        // The link below tells that whoever says whose it is has something in it.
        if !(query.level == .study && usesPatient && !valued.contains(.study)) {
            all.append(scope.sees(query.level, known: valued.contains(query.level)))
        }
        // Above, what is seen follows from the row; what is known does not.
        for level in [CatalogLevel.study, .series] where level < query.level && valued.contains(level) {
            all.append(scope.sees(level, known: true))
        }
        if usesPatient, query.level > .patient {
            all.append(scope.link(study: "l.study", patient: "l.patient", known: valued.contains(.patient)))
        }
        return all
    }

    /// Where nothing else narrows the search, it begins with the studies that the asker sees.
    private mutating func addSeenStudies() {
        guard let scope else { return }
        let studies = scope.studies(dates: studyDates.map(\.match), Self.text)
        switch query.level {
        case .patient:
            conditions.add(
                "p.id IN (SELECT y.patient FROM study_patient y WHERE y.study IN (\(studies.sql)))", studies.values)
        case .study, .series, .instance:
            touch(.study)
            conditions.add("s.id IN (\(studies.sql))", studies.values)
        }
    }

    private static func text(_ column: String, _ match: CatalogMatch) -> SQLCondition {
        var inner = SQLConjunction()
        inner.addText(column, match)
        return inner.condition
    }

    /// Whether a row is seen by an asker who sees what is hidden for some reasons, too.
    /// - Parameter id: the row's; nil: that of the level's table.
    static func visibility(_ level: CatalogLevel, _ shown: HiddenReasons, id: String? = nil) -> String {
        let hidden = "SELECT 1 FROM hidden h WHERE h.level = \(level.rawValue) AND h.id = \(id ?? alias(level) + ".id")"
        if shown.isEmpty { return "NOT EXISTS (\(hidden))" }
        if level == .instance { return "NOT EXISTS (\(hidden) AND h.reasons & ~\(shown.rawValue) <> 0)" }
        return "(NOT EXISTS (\(hidden)) OR EXISTS (\(hidden) AND h.reasons & ~\(shown.rawValue) = 0))"
    }

    /// Gives rows of (id, id of the patient that matched or NULL), in the order of ids, those behind a bound id first.
    /// The unary plus keeps the id's own order from being preferred to the index that the conditions ask for.
    mutating func statement(after id: Int64, limit: Int) -> String {
        let row = Self.alias(query.level) + ".id"
        limits = [.integer(id), .integer(Int64(limit))]
        // In the same words as the order, so that the rows are sorted once for both.
        let group = isGrouped ? " GROUP BY +\(row)" : ""
        let all = (conditions.texts + ["+\(row) > ?"]).joined(separator: " AND ")
        return "SELECT \(row), \(patient) FROM \(tables) WHERE \(all)\(group) ORDER BY +\(row) LIMIT ?"
    }

    /// Rows in the order of their ids, which the search follows through a part of them.
    mutating func walkingStatement(behind id: Int64, through last: Int64, limit: Int) -> String {
        let row = Self.alias(query.level) + ".id"
        limits = [.integer(id), .integer(last), .integer(Int64(limit))]
        let all = conditions.texts + ["\(row) > ?", "\(row) <= ?"]
        // A study in conflict may match by two patients.
        let group = isGrouped ? " GROUP BY \(row)" : ""
        return """
            SELECT \(row), \(patient) FROM \(tables) WHERE \(all.joined(separator: " AND "))\(group) ORDER BY \(row) LIMIT ?
            """
    }

    /// Rows are of patients and what they are found in.
    private var isGrouped: Bool { usesPatient && query.level > .patient }

    /// The patient that matched. A study in conflict is found under two patients; where both match, it is answered as its own
    /// one's.
    private var patient: String {
        isGrouped ? "coalesce(max(CASE WHEN l.patient = s.patient THEN l.patient END), min(l.patient))" : "NULL"
    }

    /// The first rows of a list of what the asker sees, up to an id.
    mutating func statement(in list: ScopeFilter.StudyList, through last: Int64, limit: Int) -> String {
        switch list {
        case .organisation(let organisation):
            limits = [.integer(organisation), .integer(last), .integer(Int64(limit))]
            let all = conditions.texts + ["w.organisation = ?", "w.study <= ?"]
            return """
                SELECT s.id, NULL FROM study_count w CROSS JOIN study s ON s.id = w.study
                    WHERE \(all.joined(separator: " AND ")) ORDER BY w.study LIMIT ?
                """
        case .shared:
            let studies = scope?.sharedStudies ?? SQLCondition(sql: "NULL")
            limits = studies.values + [.integer(Int64(limit))]
            let all = conditions.texts + ["s.id IN (\(studies.sql))"]
            return "SELECT s.id, NULL FROM study s WHERE \(all.joined(separator: " AND ")) ORDER BY s.id LIMIT ?"
        }
    }

    /// How many studies have contents of these kinds, or these dates, by an index alone; one may count twice.
    static func indexCount(
        _ query: CatalogQuery, upTo maximum: Int, scope: ScopeFilter?
    ) -> (sql: String, values: [Statement.Value]) {
        if let scope { return seenCount(query, upTo: maximum, scope) }
        var inner = SQLConjunction()
        var source = "study s WHERE "
        if let match = query.modalitiesInStudy ?? query.sopClassesInStudy {
            let kind = query.modalitiesInStudy == nil ? 2 : 1
            inner.addText("c.value", match)
            inner.add(dates(query, "c.date"))
            source = "study_content c WHERE c.organisation = 0 AND c.kind = \(kind) AND "
        } else {
            inner.add(dates(query, "s.study_date"))
        }
        return (
            "SELECT count(*) FROM (SELECT 1 FROM \(source)\(inner.condition.sql) LIMIT ?)",
            inner.values + [.integer(Int64(maximum))]
        )
    }

    /// How many studies have the dates of a query, whatever else it asks for.
    static func datedCount(_ query: CatalogQuery, upTo maximum: Int64) -> SQLCondition {
        let dates = dates(query, "s.study_date")
        return SQLCondition(
            sql: "SELECT count(*) FROM (SELECT 1 FROM study s WHERE \(dates.sql) LIMIT ?)",
            values: dates.values + [.integer(maximum)])
    }

    static func dates(_ query: CatalogQuery, _ column: String) -> SQLCondition {
        var inner = SQLConjunction()
        for condition in query.conditions where condition.column == .studyDate {
            inner.addText(column, condition.match)
        }
        return inner.condition
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
            tables += " JOIN study_patient l ON l.study = s.id"
            if usesPatientRow { tables += " JOIN patient p ON p.id = l.patient" }
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
        if column.level == .patient, column != .patientName { usesPatientRow = true }
        // Names are told apart by who sent them.
        if !column.isKey, column != .patientName { valued.insert(column.level) }
        let alias = Self.alias(column.level)
        switch column.kind {
        case .personName where column == .patientName: addPatientName(condition.match)
        case .personName: conditions.addName("\(alias).\(column.foldedName)", condition.match)
        case .time: conditions.addTime("\(alias).\(column.sqlName)", condition.match)
        case .date, .text: conditions.addText("\(alias).\(column.sqlName)", condition.match)
        }
    }

    /// - Parameter isDecided: the index of dates is not to be used.
    private mutating func addStudyDate(_ match: CatalogMatch, isDecided: Bool) {
        touch(.study)
        valued.insert(.study)
        conditions.addText(isDecided ? "+s.study_date" : "s.study_date", match)
    }

    /// Patterns with a wildcard in front, or of a column without an index: candidates come from the grams of the studies'
    /// texts. A study in conflict stands there under its first patient only, so the few of them are candidates always.
    private mutating func addStudyGrams(_ grams: [String]) {
        touch(.study)
        conditions.add(
            "s.id IN (SELECT rowid FROM study_gram WHERE study_gram MATCH ? UNION ALL SELECT id FROM study WHERE flags <> 0)",
            [.text(Self.conjunction(grams))])
    }

    static func conjunction(_ grams: [String]) -> String {
        // By scalars: a quotation mark that an accent follows is one all the same.
        grams.map { gram in
            "\"" + gram.unicodeScalars.map { $0 == "\"" ? "\"\"" : String($0) }.joined() + "\""
        }.joined(separator: " AND ")
    }

    /// The patterns of a query for which `study_gram` has candidates.
    static func studyPatterns(in query: CatalogQuery) -> [(field: StudyField, pattern: String)] {
        guard query.level >= .study else { return [] }
        return query.conditions.compactMap { condition in
            switch (condition.column, condition.match) {
            case (.patientID, .wildcard(let pattern)) where isInfix(pattern): (.patientID, pattern)
            case (.accessionNumber, .wildcard(let pattern)) where isInfix(pattern): (.accessionNumber, pattern)
            case (.studyDescription, .wildcard(let pattern)), (.studyDescription, .equals(let pattern)):
                (.description, pattern)
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
        /// One pattern of a name (nil), or of that field of studies.
        case pattern(String, field: StudyField?)
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
        case .patientID: return .pattern(pattern, field: .patientID)
        case .accessionNumber: return .pattern(pattern, field: .accessionNumber)
        case .studyDescription: return .pattern(pattern, field: .description)
        default: return nil
        }
    }

    /// A pattern with a literal beginning is served by the plain index.
    static func isInfix(_ pattern: String) -> Bool {
        [UInt8(ascii: "*"), UInt8(ascii: "?")].contains(pattern.utf8.first)
    }

    // MARK: Across tables

    private mutating func add(_ range: CatalogDateTimeRange) {
        touch(range.dateColumn.level)
        valued.insert(range.dateColumn.level)
        let alias = Self.alias(range.dateColumn.level)
        let date = "\(alias).\(range.dateColumn.sqlName)"
        let moment = "(\(date) || coalesce(\(alias).\(range.timeColumn.sqlName), ''))"
        // The date alone bounds the index; the moment decides.
        conditions.addBound(date, ">=", range.fromDate)
        conditions.addBound(date, "<=", range.toDate)
        if let from = range.fromDate { conditions.addBound(moment, ">=", from + (range.fromTime ?? "")) }
        if let to = range.toDate { conditions.addBound(moment, "<", to + (range.toTime ?? "") + ":") }
    }

    /// Modalities and SOP classes in study. They are rarely selective, so where anything else is asked for too, the rows
    /// that are found by that are looked up one by one; only the study's date stands beside them in their index.
    private mutating func addContent(kind: Int, _ match: CatalogMatch?) {
        guard let match else { return }
        touch(.study)
        var wanted = SQLConjunction()
        wanted.addText("c.value", match)
        let isAlone = conditions.isEmpty && !isWalking
        if isAlone { for condition in studyDates { wanted.addText("c.date", condition.match) } }
        let value = wanted.condition
        if isAlone {
            let studies =
                scope?.contents(kind: kind, value)
                ?? SQLCondition(
                    sql:
                        "SELECT c.study FROM study_content c WHERE c.organisation = 0 AND c.kind = \(kind) AND \(value.sql)",
                    values: value.values)
            return conditions.add("s.id IN (\(studies.sql))", studies.values)
        }
        let seen = scope?.sees("c.organisation", in: "c.study") ?? SQLCondition(sql: "c.organisation = 0")
        conditions.add(
            """
            EXISTS (SELECT 1 FROM study_content c WHERE c.study = s.id AND c.kind = \(kind) AND \(value.sql)
                AND \(seen.sql))
            """, value.values + seen.values)
    }

    private var studyDates: [CatalogCondition] { query.conditions.filter { $0.column == .studyDate } }

    private mutating func addRequest() {
        guard !query.request.isEmpty else { return }
        touch(.study)
        var inner = SQLConjunction()
        for (field, match) in query.request { inner.addText("r.\(field.rawValue)", match) }
        if let scope { inner.add(scope.sees("r.organisation", in: "x.study")) }
        let found = "FROM series_request r JOIN series x ON x.id = r.series WHERE \(inner.condition.sql)"
        switch query.level {
        case .patient, .study: conditions.add("s.id IN (SELECT x.study \(found))", inner.values)
        case .series, .instance:
            touch(.series)
            conditions.add("e.id IN (SELECT r.series \(found))", inner.values)
        }
    }
}

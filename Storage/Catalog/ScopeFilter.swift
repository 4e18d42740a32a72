// SPDX-License-Identifier: Apache-2.0
import Database

/// A condition of SQL and the values that are bound in it.
struct SQLCondition {
    var sql: String
    var values: [Statement.Value] = []
}

/// What a scope that does not see everything means in SQL: **the one place** that decides which rows an asker sees, and which
/// of their values it may match on. Tables are called as in `QueryBuilder`: patient p, study s, series e, instance i.
///
/// A row is seen if one of the visible organisations sent something in it that is not hidden (`study_count`, `series_count`,
/// `version_source`), or if that was shared.
struct ScopeFilter {
    /// 0: it has sent nothing so far.
    let own: Int64
    /// Those who have sent something at all, its own among them.
    let visible: [Int64]
    /// What is shared besides: study and organisation.
    let shared: [(study: Int64, organisation: Int64)]
    /// Sees what is hidden for some reasons, too, of which no counts are kept.
    let shownReasons: HiddenReasons
    let texts: ScopeTexts

    /// The only organisation that it sees, if nothing is shared: then that one's own indexes answer.
    var single: Int64? { visible.count == 1 && shared.isEmpty && shownReasons.isEmpty ? visible[0] : nil }

    /// Studies that an index gives in the order of their ids.
    enum StudyList {
        case organisation(Int64)
        case shared
    }

    /// Lists are put together up to so many.
    private static let listsMaximum = 64

    /// All that it sees, in lists that may have studies in common; nil: there is no telling, or they are too many.
    var lists: [StudyList]? {
        guard shownReasons.isEmpty, visible.count <= Self.listsMaximum else { return nil }
        return visible.map { .organisation($0) } + (shared.isEmpty ? [] : [.shared])
    }

    /// The studies in which something is shared that is seen.
    var sharedStudies: SQLCondition {
        SQLCondition(
            sql: """
                SELECT k.study FROM json_each(?) g CROSS JOIN study_count k ON k.study = json_extract(g.value, '$[0]')
                    AND k.organisation = json_extract(g.value, '$[1]')
                """, values: [.text(Self.json(shared))])
    }

    /// Those whose instances it sees in a study.
    func organisations(in study: Int64) -> [Int64] {
        visible + shared.filter { $0.study == study && !visible.contains($0.organisation) }.map(\.organisation)
    }

    // MARK: Conditions

    /// The text of a condition is the same for all scopes with the same form.
    var form: Int { (visible.count << 1 | (shared.isEmpty ? 0 : 1)) << 8 | Int(shownReasons.rawValue) }

    /// The values of `sees(_:in:)`, and of each condition that is made of one such.
    var seenValues: [Statement.Value] {
        visible.map { .integer($0) } + (shared.isEmpty ? [] : [.text(Self.json(shared))])
    }

    /// Whether what an organisation sent into a study is seen. The unary plus keeps the organisation from being looked up for
    /// each one that is seen: a row has few senders.
    func sees(_ organisation: String, in study: String) -> SQLCondition {
        var condition = sees(organisation: "+\(organisation)")
        guard !shared.isEmpty else { return condition }
        condition.sql = """
            (\(condition.sql) OR (\(study), \(organisation)) IN
                (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)))
            """
        condition.values.append(.text(Self.json(shared)))
        return condition
    }

    /// The same, of what is not shared.
    func sees(organisation: String) -> SQLCondition {
        let places = visible.map { _ in "?" }.joined(separator: ", ")
        return SQLCondition(sql: "\(organisation) IN (\(places))", values: visible.map { .integer($0) })
    }

    /// Whether a row is seen.
    /// - Parameter known: whether its values at this level are, too.
    func sees(_ level: CatalogLevel, known: Bool) -> SQLCondition {
        switch level {
        case .patient: patient(known)
        case .study:
            shownReasons.isEmpty ? count("study_count", "s.id", .study, known) : contents("s.id", .study, known)
        case .series:
            shownReasons.isEmpty ? count("series_count", "e.id", .series, known) : contents("e.id", .series, known)
        case .instance: instance(known)
        }
    }

    /// Whether something is seen in a study, by its id: of who sees nothing that is hidden.
    func seesStudy(_ id: String) -> SQLCondition { count("study_count", id, .study, false) }

    private func count(_ table: String, _ id: String, _ level: CatalogLevel, _ known: Bool) -> SQLCondition {
        let seen = sees("k.organisation", in: level == .study ? "k.study" : "e.study")
        let bit = known ? " AND k.known & \(level.known.rawValue) <> 0" : ""
        return SQLCondition(
            sql: "EXISTS (SELECT 1 FROM \(table) k WHERE k.\(level.table) = \(id)\(bit) AND \(seen.sql))",
            values: seen.values)
    }

    private func instance(_ known: Bool) -> SQLCondition {
        let seen = sees("z.organisation", in: "e.study")
        let bit = KnownLevels.instance.rawValue
        let versions = known ? " JOIN version v ON v.id = z.version AND v.known & \(bit) <> 0" : ""
        return SQLCondition(
            sql: "EXISTS (SELECT 1 FROM version_source z\(versions) WHERE z.instance = i.id AND \(seen.sql))",
            values: seen.values)
    }

    /// For who sees some of what is hidden, the instances themselves are looked at.
    private func contents(_ id: String, _ level: CatalogLevel, _ known: Bool) -> SQLCondition {
        let seen = sees("z.organisation", in: "x.study")
        let bit = known ? "v.known & \(level.known.rawValue) <> 0 AND " : ""
        let column = level == .study ? "x.study" : "x.id"
        return SQLCondition(
            sql: """
                EXISTS (SELECT 1 FROM series x JOIN instance y ON y.series = x.id JOIN version_source z ON z.instance = y.id
                    JOIN version v ON v.id = z.version WHERE \(column) = \(id) AND \(bit)\(isShown("y.id"))
                    AND \(seen.sql))
                """, values: seen.values)
    }

    private func isShown(_ instance: String) -> String {
        """
        NOT EXISTS (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = \(instance)
            AND h.reasons & ~\(shownReasons.rawValue) <> 0)
        """
    }

    /// A patient is seen in a study that is seen, if somebody who is seen there says that it is the patient's.
    private func patient(_ known: Bool) -> SQLCondition {
        let link = link(study: "y.study", patient: "y.patient", known: known)
        return SQLCondition(
            sql: "EXISTS (SELECT 1 FROM study_patient y WHERE y.patient = p.id AND \(link.sql))", values: link.values)
    }

    /// Whether somebody who is seen says that a study is a patient's, and has something in it that is seen.
    func link(study: String, patient: String, known: Bool) -> SQLCondition {
        let seen = sees("q.organisation", in: "q.study")
        let bit = known ? " AND q.known & \(KnownLevels.patient.rawValue) <> 0" : ""
        return SQLCondition(
            sql: """
                EXISTS (SELECT 1 FROM patient_source q WHERE q.study = \(study) AND q.patient = \(patient)\(bit)
                    AND \(seen.sql) AND \(hasContent))
                """, values: seen.values)
    }

    /// Whether who says whose a study is (`patient_source` q) has something in it that is seen.
    var hasContent: String {
        shownReasons.isEmpty
            ? "EXISTS (SELECT 1 FROM study_count k WHERE k.study = q.study AND k.organisation = q.organisation)"
            : """
            EXISTS (SELECT 1 FROM series x JOIN instance y ON y.series = x.id JOIN version_source z ON z.instance = y.id
                WHERE x.study = q.study AND z.organisation = q.organisation AND \(isShown("y.id")))
            """
    }

    /// Whether a form of a patient's name (`patient_name` n) is one that somebody who is seen has sent. Of who only shares a
    /// study it is the name that this study says, not another one that the same sender has used for the patient elsewhere.
    func name() -> SQLCondition {
        var condition = sees(organisation: "+n.organisation")
        guard !shared.isEmpty else { return condition }
        condition.sql = """
            (\(condition.sql) OR (n.patient, n.organisation) IN (SELECT q.patient, q.organisation FROM json_each(?) g
                CROSS JOIN patient_source q ON q.study = json_extract(g.value, '$[0]')
                AND q.organisation = json_extract(g.value, '$[1]') AND q.known & \(KnownLevels.patient.rawValue) <> 0)
                AND instr('=' || (SELECT patient_name_folded FROM patient WHERE id = n.patient) || '=',
                    '=' || n.folded || '=') > 0)
            """
        condition.values.append(.text(Self.json(shared)))
        return condition
    }

    /// The same of a word for fuzzy matching (`study_word`, by this name), which does not tell the name that it is from: so not
    /// of what is only shared.
    func word(_ table: String) -> SQLCondition { sees(organisation: "+\(table).organisation") }

    // MARK: Where a search begins

    /// The studies that are seen, of some dates that are known: for searches that nothing else narrows.
    func studies(dates: [CatalogMatch], _ text: (String, CatalogMatch) -> SQLCondition) -> SQLCondition {
        let seen = sees(organisation: "k.organisation")
        var conditions = dates.map { text("k.date", $0) }
        if !dates.isEmpty { conditions.append(SQLCondition(sql: "k.known & \(KnownLevels.study.rawValue) <> 0")) }
        let those = SQLCondition(
            sql: conditions.map { " AND " + $0.sql }.joined(), values: conditions.flatMap(\.values))
        var all = SQLCondition(
            sql: "SELECT k.study FROM study_count k WHERE \(seen.sql)\(those.sql)", values: seen.values + those.values)
        if !shared.isEmpty {
            all.sql += " UNION ALL \(sharedStudies.sql) WHERE 1\(those.sql)"
            all.values += sharedStudies.values + those.values
        }
        return all
    }

    /// Whether who has a content (`study_content` c) knows the study's date that stands beside it.
    var dateIsKnown: SQLCondition {
        SQLCondition(
            sql: """
                EXISTS (SELECT 1 FROM study_count t WHERE t.study = c.study AND t.organisation = c.organisation
                    AND t.known & \(KnownLevels.study.rawValue) <> 0)
                """)
    }

    /// The studies with contents that are seen.
    /// - Parameter value: what the content `c` must be.
    func contents(kind: Int, _ value: SQLCondition) -> SQLCondition {
        let seen = sees(organisation: "c.organisation")
        var all = SQLCondition(
            sql: "SELECT c.study FROM study_content c WHERE \(seen.sql) AND c.kind = \(kind) AND \(value.sql)",
            values: seen.values + value.values)
        if !shared.isEmpty {
            all.sql += """
                 UNION ALL SELECT c.study FROM json_each(?) g CROSS JOIN study_content c
                    ON c.study = json_extract(g.value, '$[0]') AND c.organisation = json_extract(g.value, '$[1]')
                    WHERE c.kind = \(kind) AND \(value.sql)
                """
            all.values += [.text(Self.json(shared))] + value.values
        }
        return all
    }

    private static func json(_ pairs: [(study: Int64, organisation: Int64)]) -> String {
        "[" + pairs.map { "[\($0.study),\($0.organisation)]" }.joined(separator: ",") + "]"
    }
}

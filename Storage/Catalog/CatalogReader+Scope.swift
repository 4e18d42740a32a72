// SPDX-License-Identifier: Apache-2.0
import Database

/// A scope with the catalog's own numbers for its organisations and studies.
struct ResolvedScope {
    let own: Int64
    /// nil: it sees everything.
    let filter: ScopeFilter?
}

/// The ids of a row and of those above it, by level.
struct RowPlace {
    var ids = [Int64?](repeating: nil, count: 4)
    /// Whether the values of a level are known, by level; nil: that was not looked up.
    var known = [Bool?](repeating: nil, count: 4)

    var study: Int64 { ids[CatalogLevel.study.rawValue] ?? 0 }
}

/// What is left of a row for an asker that does not see everything.
extension CatalogReader {
    func resolve(_ scope: CatalogScope, _ shownReasons: HiddenReasons) throws(CatalogError) -> ResolvedScope {
        let own = try organisationID(scope.organisation)
        guard let names = scope.visible else { return ResolvedScope(own: own, filter: nil) }
        var visible: [Int64] = []
        for name in names.sorted() {
            let id = try organisationID(name)
            if id != 0 { visible.append(id) }
        }
        var shared: [(study: Int64, organisation: Int64)] = []
        for share in scope.sharedStudies where !names.contains(share.organisation) {
            let found = try database.statement(
                "SELECT s.id, o.id FROM study s JOIN organisation o ON o.name = ?2 WHERE s.uid = ?1"
            ).first([.text(share.studyInstanceUID), .text(share.organisation)]) { ($0.integer(0), $0.integer(1)) }
            if let found { shared.append(found) }
        }
        let hidesSome = shownReasons.isEmpty ? false : try hidesSome()
        return ResolvedScope(
            own: own,
            filter: ScopeFilter(
                // 0 stands for all of them together in the contents of studies, so nobody is -1.
                own: own, visible: visible.isEmpty ? [-1] : visible, shared: shared,
                shownReasons: hidesSome ? shownReasons : [], texts: scopeTexts))
    }

    /// Whose study it is for the asker: the patient that matched, else the study's own if the asker may know of that one.
    /// - Returns: nil: nobody whom the asker sees says it any more.
    func patient(
        _ matched: Int64?, of study: Int64, _ own: Int64, _ asker: ResolvedScope, _ place: inout RowPlace
    ) throws(CatalogError) -> Int64? {
        guard let filter = asker.filter else { return matched ?? own }
        guard let known = try knowsPatient(matched ?? own, byStudy: study, filter) else {
            return matched == nil ? try patient(ofStudy: study, own, filter) : nil
        }
        // Another study may tell what this one does not.
        if known { place.known[CatalogLevel.patient.rawValue] = true }
        return matched ?? own
    }

    /// Whether those who are seen and say with a study that it is a patient's know the patient's values by it; nil: there are
    /// none.
    private func knowsPatient(
        _ patient: Int64, byStudy study: Int64, _ filter: ScopeFilter
    ) throws(CatalogError) -> Bool? {
        let known: Bool?? = try database.statement("patient known", form: filter.form) {
            """
            SELECT max(q.known & \(KnownLevels.patient.rawValue)) FROM patient_source q WHERE q.study = ? AND q.patient = ?
                AND \(filter.sees("q.organisation", in: "q.study").sql) AND \(filter.hasContent)
            """
        }.first([.integer(study), .integer(patient)] + filter.seenValues) { row in
            row.isNull(0) ? nil : row.integer(0) != 0
        }
        return known ?? nil
    }

    /// The patient that a study is said to be of by whom the asker sees: the study's own if one of them says so.
    private func patient(ofStudy study: Int64, _ own: Int64, _ filter: ScopeFilter) throws(CatalogError) -> Int64? {
        try database.statement("patient", form: filter.form) {
            """
            SELECT q.patient FROM patient_source q WHERE q.study = ? AND \(filter.sees("q.organisation", in: "q.study").sql)
                AND \(filter.hasContent) ORDER BY q.patient <> ?, q.patient LIMIT 1
            """
        }.first([.integer(study)] + filter.seenValues + [.integer(own)]) { $0.integer(0) }
    }

    /// Makes counts, contents, marks and values those of what the asker sees.
    /// - Returns: the first instance that the asker sees in the row.
    func restrict(
        _ row: inout CatalogRow, _ query: CatalogQuery, _ place: RowPlace, _ filter: ScopeFilter, first: Int64
    ) throws(CatalogError) -> Int64? {
        let level = query.level
        (row.numberOfPatientRelatedStudies, row.numberOfPatientRelatedSeries) = (0, 0)
        row.numberOfPatientRelatedInstances = 0
        if query.countsPatients { try countPatient(place.ids[0] ?? 0, filter, into: &row) }
        var place = place
        if level > .patient {
            let counts = try count(study: place.study, filter)
            row.numberOfStudyRelatedSeries = counts.series
            row.numberOfStudyRelatedInstances = counts.instances
            place.known[CatalogLevel.study.rawValue] = counts.isKnown
            if query.needsContents { try readContent(place.study, filter, into: &row) }
        }
        if level >= .series, let series = place.ids[2] {
            row.numberOfSeriesRelatedInstances = try instances(ofSeries: series, study: place.study, filter)
        }
        for above in [CatalogLevel.patient, .study, .series, .instance] where above <= level {
            if try !isKnown(above, place, filter) { row.hideValues(of: above) }
        }
        if row.flags.contains(.damaged), try !isDamaged(level, place, filter) { row.flags.remove(.damaged) }
        guard query.needsRepresentative || !row.unknownLevels.isEmpty else { return nil }
        return try firstInstance(level, place, filter, first: first)
    }

    // MARK: Counts

    /// What is seen in a study.
    private struct StudyCount {
        var series = 0
        var instances = 0
        /// Whether the study's values are known; nil: these counts do not tell.
        var isKnown: Bool?
    }

    /// What one organisation sent is counted already; of several, an instance that more than one sent counts once.
    private func count(study: Int64, _ filter: ScopeFilter) throws(CatalogError) -> StudyCount {
        var total = StudyCount(isKnown: filter.shownReasons.isEmpty ? false : nil)
        var senders = 0
        try database.statement("count", form: filter.form) {
            """
            SELECT series, instances, known FROM study_count
                WHERE study = ? AND \(filter.sees("organisation", in: "study").sql)
            """
        }.forEach([.integer(study)] + filter.seenValues) { row throws(CatalogError) in
            senders += 1
            (total.series, total.instances) = (Int(row.integer(0)), Int(row.integer(1)))
            if total.isKnown == false { total.isKnown = row.integer(2) & KnownLevels.study.rawValue != 0 }
            return true
        }
        guard senders > 1 else { return total }
        let sent = filter.sees("c.organisation", in: "e.study")
        try database.statement(
            """
            SELECT count(DISTINCT e.id), count(*) FROM series e JOIN instance i ON i.series = e.id WHERE e.study = ?
                AND EXISTS (SELECT 1 FROM version_source c WHERE c.instance = i.id AND \(sent.sql))
                AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id)
            """
        ).first([.integer(study)] + sent.values) {
            (total.series, total.instances) = (Int($0.integer(0)), Int($0.integer(1)))
        }
        return total
    }

    private func instances(ofSeries series: Int64, study: Int64, _ filter: ScopeFilter) throws(CatalogError) -> Int {
        let seen = filter.sees("organisation", in: "\(study)")
        let counts = try integers(
            "SELECT instances FROM series_count WHERE series = ? AND \(seen.sql)", [.integer(series)] + seen.values)
        guard counts.count > 1 else { return Int(counts.first ?? 0) }
        let sent = filter.sees("c.organisation", in: "\(study)")
        return try database.statement(
            """
            SELECT count(*) FROM instance i WHERE i.series = ?
                AND EXISTS (SELECT 1 FROM version_source c WHERE c.instance = i.id AND \(sent.sql))
                AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id)
            """
        ).first([.integer(series)] + sent.values) { Int($0.integer(0)) } ?? 0
    }

    /// As for who sees everything, series and instances are those of the studies that are the patient's first of all.
    private func countPatient(
        _ patient: Int64, _ filter: ScopeFilter, into row: inout CatalogRow
    ) throws(CatalogError) {
        for study in try studies(ofPatient: patient, filter) {
            let counts = try count(study: study, filter)
            guard counts.instances > 0 else { continue }
            row.numberOfPatientRelatedStudies += 1
            guard try owner(ofStudy: study, filter) == patient else { continue }
            row.numberOfPatientRelatedSeries += counts.series
            row.numberOfPatientRelatedInstances += counts.instances
        }
    }

    private func owner(ofStudy study: Int64, _ filter: ScopeFilter) throws(CatalogError) -> Int64? {
        let own = try database.statement("SELECT patient FROM study WHERE id = ?").first([.integer(study)]) {
            $0.integer(0)
        }
        return try patient(ofStudy: study, own ?? 0, filter)
    }

    private func studies(ofPatient patient: Int64, _ filter: ScopeFilter) throws(CatalogError) -> [Int64] {
        let link = filter.link(study: "y.study", patient: "y.patient", known: false)
        return try integers(
            "SELECT y.study FROM study_patient y WHERE y.patient = ? AND \(link.sql) ORDER BY y.study",
            [.integer(patient)] + link.values)
    }

    private func readContent(_ study: Int64, _ filter: ScopeFilter, into row: inout CatalogRow) throws(CatalogError) {
        if let single = filter.single { return try readContent(study, of: single, into: &row) }
        row.modalitiesInStudy = []
        row.sopClassesInStudy = []
        try database.statement("content", form: filter.form) {
            """
            SELECT DISTINCT kind, value FROM study_content WHERE study = ?
                AND \(filter.sees("organisation", in: "study").sql) ORDER BY kind, value
            """
        }.forEach([.integer(study)] + filter.seenValues) { columns throws(CatalogError) in
            row.addContent(kind: columns.integer(0), columns.text(1))
            return true
        }
    }

    // MARK: The instance that answers for the rest

    private func firstInstance(
        _ level: CatalogLevel, _ place: RowPlace, _ filter: ScopeFilter, first: Int64
    ) throws(CatalogError) -> Int64? {
        switch level {
        case .patient: try firstInstance(ofPatient: place.ids[0] ?? 0, filter)
        case .study: try firstInstance(ofStudy: place.study, first, filter)
        case .series: try firstInstance(ofSeries: place.ids[2] ?? 0, place.study, first, filter)
        case .instance: place.ids[3]
        }
    }

    private func firstInstance(
        ofStudy study: Int64, _ first: Int64, _ filter: ScopeFilter
    ) throws(CatalogError) -> Int64? {
        if first != 0, try isSent(first, study, filter) { return first }
        return try firstInstance("e.study = ?", study, study, filter)
    }

    private func firstInstance(
        ofSeries series: Int64, _ study: Int64, _ first: Int64, _ filter: ScopeFilter
    ) throws(CatalogError) -> Int64? {
        if first != 0, try isSent(first, study, filter) { return first }
        return try firstInstance("e.id = ?", series, study, filter)
    }

    private func firstInstance(ofPatient patient: Int64, _ filter: ScopeFilter) throws(CatalogError) -> Int64? {
        for study in try studies(ofPatient: patient, filter) {
            let first = try database.statement("SELECT first_instance FROM study WHERE id = ?").first([.integer(study)])
            { $0.integer(0) }
            if let found = try firstInstance(ofStudy: study, first ?? 0, filter) { return found }
        }
        return nil
    }

    private func isSent(_ instance: Int64, _ study: Int64, _ filter: ScopeFilter) throws(CatalogError) -> Bool {
        let seen = filter.sees("organisation", in: "\(study)")
        return try database.statement("SELECT 1 FROM version_source WHERE instance = ? AND \(seen.sql) LIMIT 1").first(
            [.integer(instance)] + seen.values
        ) { _ in true } ?? false
    }

    private func firstInstance(
        _ condition: String, _ id: Int64, _ study: Int64, _ filter: ScopeFilter
    ) throws(CatalogError) -> Int64? {
        let seen = filter.sees("c.organisation", in: "e.study")
        return try integers(
            """
            SELECT i.id FROM series e JOIN instance i ON i.series = e.id WHERE \(condition)
                AND EXISTS (SELECT 1 FROM version_source c WHERE c.instance = i.id AND \(seen.sql))
                AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id) ORDER BY i.id LIMIT 1
            """, [.integer(id)] + seen.values
        ).first
    }

    /// The version that an asker gets who does not see everything: its own newest, else the newest from whoever sent the
    /// instance first if that one is seen, else the newest from anybody who is.
    func version(ofInstance id: Int64, _ filter: ScopeFilter) throws(CatalogError) -> CatalogVersion? {
        let study = try database.statement(
            "SELECT e.study FROM instance i JOIN series e ON e.id = i.series WHERE i.id = ?"
        ).first([.integer(id)]) { $0.integer(0) }
        let seen = filter.sees("z.organisation", in: "\(study ?? 0)")
        return try database.statement(
            """
            SELECT \(Self.versionColumns) FROM \(Self.versionTables) WHERE v.id =
                (SELECT z.version FROM version_source z WHERE z.instance = ? AND \(seen.sql)
                    ORDER BY z.organisation = ? DESC, z.organisation = (SELECT first_organisation FROM instance
                        WHERE id = z.instance) DESC, z.sequence DESC LIMIT 1)
            """
        ).first([.integer(id)] + seen.values + [.integer(filter.own)], Self.version)
    }

    /// Which contents a scope sees: somebody whom it sees has sent these very bytes.
    package func seen(_ blobIDs: [[UInt8]], scope: CatalogScope) throws(CatalogError) -> Set<[UInt8]> {
        guard let filter = try resolve(scope, []).filter else { return Set(blobIDs) }
        let seen = filter.sees("z.organisation", in: "e.study")
        var found: Set<[UInt8]> = []
        for blobID in blobIDs {
            let isSeen = try database.statement(
                """
                SELECT 1 FROM version v JOIN instance i ON i.id = v.instance JOIN series e ON e.id = i.series
                    JOIN version_source z ON z.instance = i.id AND z.version = v.id WHERE v.blob = ? AND \(seen.sql) LIMIT 1
                """
            ).first([.blob(blobID)] + seen.values) { _ in true }
            if isSeen != nil { found.insert(blobID) }
        }
        return found
    }

    // MARK: Values and marks

    private func isKnown(
        _ level: CatalogLevel, _ place: RowPlace, _ filter: ScopeFilter
    ) throws(CatalogError) -> Bool {
        if let known = place.known[level.rawValue] { return known }
        guard let id = place.ids[level.rawValue] else { return true }
        return try isSeen(id, level, filter, known: true)
    }

    /// Whether the asker sees a row.
    /// - Parameter known: whether its values at this level, too.
    func isSeen(
        _ id: Int64, _ level: CatalogLevel, _ filter: ScopeFilter, known: Bool
    ) throws(CatalogError) -> Bool {
        try database.statement("seen", form: (filter.form << 2 | level.rawValue) << 1 | (known ? 1 : 0)) {
            let alias = ["p", "s", "e", "i"][level.rawValue]
            // What is seen of an instance depends on its study.
            let tables =
                level == .instance ? "instance i JOIN series e ON e.id = i.series" : "\(level.table) \(alias)"
            return "SELECT 1 FROM \(tables) WHERE \(alias).id = ? AND \(filter.sees(level, known: known).sql)"
        }.first([.integer(id)] + filter.seenValues) { _ in true } ?? false
    }

    /// Whether something that the asker sees in a row is damaged.
    private func isDamaged(
        _ level: CatalogLevel, _ place: RowPlace, _ filter: ScopeFilter
    ) throws(CatalogError) -> Bool {
        let seen = filter.sees("z.organisation", in: "e.study")
        let (column, id) = [
            ("e.study", place.study), ("e.study", place.study), ("e.id", place.ids[2] ?? 0),
            ("i.id", place.ids[3] ?? 0),
        ][level.rawValue]
        return try database.statement(
            """
            SELECT 1 FROM series e JOIN instance i ON i.series = e.id AND i.flags & 4 <> 0
                JOIN version_source z ON z.instance = i.id AND \(seen.sql)
                JOIN version v ON v.id = z.version AND v.flags & 4 <> 0 WHERE \(column) = ? LIMIT 1
            """
        ).first(seen.values + [.integer(id)]) { _ in true } ?? false
    }

    private func integers(_ sql: String, _ values: [Statement.Value]) throws(CatalogError) -> [Int64] {
        var found: [Int64] = []
        try database.statement(sql).forEach(values) { row throws(CatalogError) in
            found.append(row.integer(0))
            return true
        }
        return found
    }
}

extension CatalogRow {
    fileprivate mutating func hideValues(of level: CatalogLevel) {
        unknownLevels.insert(level)
        for column in level.valueColumns { set(column, nil) }
    }
}

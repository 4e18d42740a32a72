// SPDX-License-Identifier: Apache-2.0
import Database
import Platform

/// A read-only connection with the catalog's questions. One thread at a time; `CatalogReaders` lends them.
package final class CatalogReader {
    /// Something that was found: its id, and the patient by whom it was found if it has several.
    typealias Match = (id: Int64, patient: Int64?)

    let database: Database

    /// Samples that all readers share.
    struct Samples: Sendable {
        let names = GramSample(.names)
        let studies = GramSample(.studies)
    }

    private let samples: Samples
    private let searchSecondsMaximum: Double?
    /// Those that were looked up: they never change.
    private var organisationIDs: [String: Int64] = [:]
    let scopeTexts = ScopeTexts()

    /// - Parameter searchSecondsMaximum: what looking for the next rows may take; nil: however long it takes.
    init(path: String, samples: Samples = Samples(), searchSecondsMaximum: Double? = nil) throws(CatalogError) {
        self.samples = samples
        self.searchSecondsMaximum = searchSecondsMaximum
        // Filled only where answers touch as much. With 2 MiB a part of a name took a quarter longer at a million studies.
        database = try Database(path: path, isReadOnly: true, cacheKiB: 8192)
    }

    func checkSchema() throws(CatalogError) {
        let version = try database.statement("SELECT value FROM meta WHERE key = 'schema'").first([]) { $0.integer(0) }
        guard version == Schema.version else {
            throw version ?? 0 > Schema.version
                ? CatalogError(kind: .newerSchema, message: CatalogError.newerSchemaText)
                : CatalogError(
                    kind: .other,
                    message: "the catalog was written by an older version; start the server once, or rebuild")
        }
    }

    /// How far the catalog has come; nil: nowhere.
    package func position() throws(CatalogError) -> CatalogPosition? { try database.position() }

    /// Where the live copy of a blob is.
    package func location(ofBlob blobID: [UInt8]) throws(CatalogError) -> (CatalogLocation, dataSetLength: UInt64)? {
        try database.blobLocation(blobID)
    }

    /// Whether an organisation itself sent a blob.
    package func hasSent(blob blobID: [UInt8], organisation: String) throws(CatalogError) -> Bool {
        try database.statement(
            """
            SELECT 1 FROM version v JOIN version_source c ON c.instance = v.instance AND c.version = v.id
                JOIN organisation o ON o.id = c.organisation WHERE v.blob = ? AND o.name = ? AND NOT EXISTS
                    (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = v.instance)
            """
        ).first([.blob(blobID), .text(organisation)]) { _ in true } ?? false
    }

    /// Whether an organisation itself sent something that is seen in a study.
    package func hasSent(study uid: String, organisation: String) throws(CatalogError) -> Bool {
        try database.statement(
            """
            SELECT 1 FROM study s JOIN organisation o ON o.name = ?2
                JOIN study_count k ON k.study = s.id AND k.organisation = o.id WHERE s.uid = ?1
            """
        ).first([.text(uid), .text(organisation)]) { _ in true } ?? false
    }

    package func statistics() throws(CatalogError) -> CatalogStatistics {
        var statistics = CatalogStatistics()
        try database.statement(
            """
            SELECT patients, studies, series, instances, versions, sightings, stored_bytes, saved_bytes FROM state
            """
        ).first([]) { row in
            statistics.patients = Int(row.integer(0))
            statistics.studies = Int(row.integer(1))
            statistics.series = Int(row.integer(2))
            statistics.instances = Int(row.integer(3))
            statistics.versions = Int(row.integer(4))
            statistics.sightings = Int(row.integer(5))
            statistics.storedBytes = Int(row.integer(6))
            statistics.savedBytes = Int(row.integer(7))
        }
        for table in ["study", "series", "instance"] {
            statistics.flagged +=
                try database.statement("SELECT count(*) FROM \(table) WHERE flags <> 0")
                .first([]) { Int($0.integer(0)) } ?? 0
        }
        return statistics
    }

    // MARK: Finding

    /// What comes next of an answer.
    func more(_ cursor: CatalogCursor, _ asker: ResolvedScope, limit: Int) throws(CatalogError) -> [Match] {
        try bounded { () throws(CatalogError) in try ids(cursor.query, asker, after: cursor.after, limit: limit) }
    }

    /// The rows of what was found. What has gone in the meantime is left out.
    /// - Parameter isOld: it was found in an earlier snapshot.
    func rows(
        _ found: some Sequence<Match>, of query: CatalogQuery, _ asker: ResolvedScope, isOld: Bool
    ) throws(CatalogError) -> [CatalogRow] {
        var rows: [CatalogRow] = []
        for match in found {
            // Its number may be another row's by now.
            if isOld, let filter = asker.filter, try !isSeen(match.id, query.level, filter, known: false) { continue }
            if let row = try row(query, match.id, patient: match.patient, asker) { rows.append(row) }
        }
        return rows
    }

    func resolve(_ query: CatalogQuery) throws(CatalogError) -> ResolvedScope {
        try resolve(query.scope, query.shownReasons)
    }

    /// Searches within the time that one may take.
    private func bounded<Result>(_ search: () throws(CatalogError) -> Result) throws(CatalogError) -> Result {
        guard let searchSecondsMaximum else { return try search() }
        return try database.within(seconds: searchSecondsMaximum, search)
    }

    /// One page of an answer and how many rows there are in all.
    package struct Page {
        /// Up to the number that was asked for.
        package let total: Int
        let cursor: CatalogCursor

        package var isEmpty: Bool { cursor.isAtEnd }
    }

    /// Finds the page of a query that its offset and limit tell, and counts the rest up to `maximum`.
    func page(_ query: CatalogQuery, countingUpTo maximum: Int) throws(CatalogError) -> Page {
        let asker = try resolve(query)
        guard let limit = query.limit else {
            var cursor = CatalogCursor(query)
            try cursor.look(self, asker)
            return Page(total: min(cursor.foundCount, maximum), cursor: cursor)
        }
        return try bounded { () throws(CatalogError) in try page(query, asker, limit, countingUpTo: maximum) }
    }

    private func page(
        _ query: CatalogQuery, _ asker: ResolvedScope, _ limit: Int, countingUpTo maximum: Int
    ) throws(CatalogError) -> Page {
        if let total = try denseCount(query, asker.filter, upTo: maximum),
            let ids = try walk(query, asker.filter, limit)
        {
            return Page(total: total, cursor: CatalogCursor(query, found: ids))
        }
        let end = query.offset.addingReportingOverflow(limit)
        let found = try ids(query, asker, after: 0, limit: max(maximum, end.overflow ? .max : end.partialValue))
        let page = Array(found.dropFirst(query.offset).prefix(limit))
        return Page(total: min(found.count, maximum), cursor: CatalogCursor(query, found: page))
    }

    /// Whether so many studies match that it is best to walk through them until the page is full; the count if so.
    private func denseCount(
        _ query: CatalogQuery, _ filter: ScopeFilter?, upTo maximum: Int
    ) throws(CatalogError) -> Int? {
        switch QueryBuilder.breadth(query) {
        case nil: return nil
        // Of the little that an organisation has in a large archive no sample tells; nor may one tell it of others.
        case .pattern where filter != nil: return nil
        case .all where filter != nil:
            guard filter?.lists != nil else { return nil }
            let (sql, values) = QueryBuilder.indexCount(query, upTo: maximum, scope: filter)
            return try database.statement(sql).first(values) { Int($0.integer(0)) } ?? 0
        case .all:
            return min(
                maximum, try database.statement("SELECT studies FROM state").first([]) { Int($0.integer(0)) } ?? 0)
        case .index:
            let (sql, values) = QueryBuilder.indexCount(query, upTo: maximum, scope: filter)
            let count = try database.statement(sql).first(values) { Int($0.integer(0)) } ?? 0
            return count >= maximum ? count : nil
        case .pattern(let pattern, let field):
            let sample = field == nil ? samples.names : samples.studies
            return try sample.matchesMore(than: maximum, pattern, field, in: database) ? maximum : nil
        }
    }

    private static let walkedAtOnce: Int64 = 10_000
    /// Studies that are looked at before another way is tried: what matches may all lie at the end.
    private static let walkedMaximum: Int64 = 40_000

    /// - Returns: nil: the page was not full within the studies that one walk looks at.
    private func walk(
        _ query: CatalogQuery, _ filter: ScopeFilter?, _ limit: Int
    ) throws(CatalogError) -> [Match]? {
        let highest = try database.statement("SELECT max(id) FROM study").first([]) { $0.integer(0) } ?? 0
        let hidesSome = try hidesSome()
        if case .all? = QueryBuilder.breadth(query), filter == nil || filter?.single != nil {
            if let single = filter?.single {
                return try found(
                    "SELECT study, NULL FROM study_count WHERE organisation = ? ORDER BY study LIMIT ? OFFSET ?",
                    [.integer(single), .integer(Int64(limit)), .integer(Int64(query.offset))])
            }
            let condition = hidesSome ? " WHERE " + QueryBuilder.visibility(.study, query.shownReasons) : ""
            return try found(
                "SELECT s.id, NULL FROM study s\(condition) ORDER BY s.id LIMIT ? OFFSET ?",
                [
                    .integer(Int64(limit)), .integer(Int64(query.offset)),
                ])
        }
        let (wanted, isBeyond) = query.offset.addingReportingOverflow(limit)
        guard !isBeyond, wanted > 0 else { return [] }
        if let filter { return try walk(query, filter, wanted, hidesSome) }
        let end = min(highest, Self.walkedMaximum)
        let alike = try wordApart(query)
        var walked = query
        if alike != nil { walked.fuzzyPatientWords = [] }
        var all: [Match] = []
        var last: Int64 = 0
        while last < end, all.count < wanted {
            let through = min(end, last + Self.walkedAtOnce)
            var builder = QueryBuilder(walked, isWalking: true, hidesSome: hidesSome)
            let sql = builder.walkingStatement(behind: last, through: through, limit: wanted - all.count)
            all += try found(sql, builder.values)
            last = through
        }
        guard all.count == wanted || last == highest else { return nil }
        if let alike {
            let builder = QueryBuilder(query, hidesSome: hidesSome)
            let end = all.count == wanted ? all.last!.id : .max
            let more = builder.alikeStatement(alike, through: end)
            all = Self.merged(all, try found(by: more, builder, after: 0, through: end, limit: wanted))
        }
        return Array(all.prefix(wanted).dropFirst(query.offset))
    }

    /// Words of a fuzzy search are held against each study that is walked past, which takes longer than its name; few words
    /// are alike as a rule, and the studies of these are soon looked up by themselves.
    private static let wordsApartMaximum = 200

    /// - Returns: the word of a search for nothing but names, if so few are alike.
    private func wordApart(_ query: CatalogQuery) throws(CatalogError) -> String? {
        guard case .pattern(_, field: nil)? = QueryBuilder.breadth(query), query.fuzzyPatientWords.count == 1 else {
            return nil
        }
        let words = QueryBuilder.words(spelled: query.fuzzyPatientWords[0])
        let count = try database.statement("SELECT count(*) FROM (\(words.sql) LIMIT ?)")
            .first(words.values + [.integer(Int64(Self.wordsApartMaximum + 1))]) { Int($0.integer(0)) }
        return count ?? 0 <= Self.wordsApartMaximum ? query.fuzzyPatientWords[0] : nil
    }

    /// Both in the order of ids, each study once.
    private static func merged(_ left: [Match], _ right: [Match]) -> [Match] {
        let known = Set(left.map(\.id))
        return (left + right.filter { !known.contains($0.id) }).sorted { $0.id < $1.id }
    }

    /// The same for who does not see everything: each list of what it sees is walked through, and they are put together.
    private func walk(
        _ query: CatalogQuery, _ filter: ScopeFilter, _ wanted: Int, _ hidesSome: Bool
    ) throws(CatalogError) -> [Match]? {
        guard let lists = filter.lists else { return nil }
        var ids: Set<Int64> = []
        for list in lists {
            let end = try walkedEnd(list)
            var builder = QueryBuilder(query, isWalking: true, hidesSome: hidesSome, scope: filter)
            let sql = builder.statement(in: list, through: end ?? .max, limit: wanted)
            let part = try found(sql, builder.values)
            // What comes behind the end may belong between what others have.
            guard part.count == wanted || end == nil else { return nil }
            ids.formUnion(part.map(\.id))
        }
        return ids.sorted().prefix(wanted).dropFirst(query.offset).map { ($0, nil) }
    }

    /// The last of a list's studies that one walk looks at; nil: it looks at all.
    private func walkedEnd(_ list: ScopeFilter.StudyList) throws(CatalogError) -> Int64? {
        guard case .organisation(let organisation) = list else { return nil }
        return try database.statement(
            "SELECT study FROM study_count WHERE organisation = ? ORDER BY study LIMIT 1 OFFSET ?"
        ).first([.integer(organisation), .integer(Self.walkedMaximum)]) { $0.integer(0) }
    }

    private func found(_ sql: String, _ values: [Statement.Value]) throws(CatalogError) -> [Match] {
        var found: [Match] = []
        try database.statement(sql).forEach(values) { row throws(CatalogError) in
            found.append((row.integer(0), row.isNull(1) ? nil : row.integer(1)))
            return true
        }
        return found
    }

    /// Studies of words are counted so far at first, and if all have as many, once more. Who has a word that is rarer than the
    /// last is looked at one by one; else lists are put together (3 µs for each, and 0.4 for each in a list).
    private static let countsMaximum: [Int64] = [500, 8000]

    /// How many studies have words `v` for which this holds.
    private func count(_ words: SQLCondition, upTo maximum: Int64) throws(CatalogError) -> Int64 {
        try database.statement(
            """
            SELECT count(*) FROM (SELECT 1 FROM name_word v CROSS JOIN study_word w ON w.word = v.id
                WHERE \(words.sql) LIMIT ?)
            """
        ).first(words.values + [.integer(maximum)]) { $0.integer(0) }!
    }

    /// A word that is this much rarer than all others in a sample need not be counted.
    private static let certainlyRarer = 16

    /// The one of several sets of words `v` that the fewest studies have.
    /// - Parameter words: with how many names of a sample have one of them.
    /// - Returns: nil: all of them are in many; then the first.
    private func rarest(of words: [(words: SQLCondition, sampled: Int)]) throws(CatalogError) -> Int? {
        // Those first that have few: the others are counted up to these only.
        let order = words.indices.sorted { words[$0].sampled < words[$1].sampled }
        if order.count > 1, words[order[1]].sampled >= Self.certainlyRarer * (words[order[0]].sampled + 1) {
            return order[0]
        }
        for maximum in Self.countsMaximum {
            var rarest: (index: Int, count: Int64)?
            for index in order {
                let count = try count(words[index].words, upTo: rarest?.count ?? maximum)
                if count < rarest?.count ?? maximum { rarest = (index, count) }
            }
            if let rarest { return rarest.index }
        }
        return nil
    }

    /// Of the parts of a name's pattern the one whose words the fewest studies have: "Maria" is a longer part than "Lang".
    private func rarestPart(of pattern: String) throws(CatalogError) -> NamePattern? {
        var parts = NamePattern.parts(of: pattern)
        for index in parts.indices where parts[index].place == .anywhere {
            parts[index].trigrams = try samples.names.rarest(of: parts[index].text, nil, in: database)
        }
        let indexed = parts.filter(\.isIndexed)
        guard indexed.count > 1 else { return indexed.first ?? parts.first }
        let words = try indexed.map { part throws(CatalogError) in
            (QueryBuilder.spelled(part), try samples.names.count(of: part, in: database))
        }
        return indexed[try rarest(of: words) ?? 0]
    }

    private func rarestWord(_ keys: [String]) throws(CatalogError) -> Int? {
        try rarest(
            of: keys.map { key throws(CatalogError) in
                (QueryBuilder.spelled(key), try samples.names.count(ofWordsSpelled: key, in: database))
            })
    }

    private func ids(
        _ query: CatalogQuery, _ asker: ResolvedScope, after: Int64, limit: Int
    ) throws(CatalogError) -> [Match] {
        var builder = try builder(query, asker.filter)
        if let names = builder.nameStatement() {
            return try found(by: names, builder, after: after, limit: limit)
        }
        let sql = builder.statement(after: after, limit: limit)
        return try found(sql, builder.values)
    }

    /// Studies by their patients' names, from the rows of `QueryBuilder.nameStatement`. They are put in order here: SQLite takes
    /// three times as long for it as for finding them.
    private func found(
        by names: SQLCondition, _ builder: QueryBuilder, after: Int64, through last: Int64 = .max, limit: Int
    ) throws(CatalogError) -> [Match] {
        var all: [(study: Int64, patient: Int64)] = []
        var whole: Set<Int64> = []
        try database.statement(names.sql).forEach(names.values) { row throws(CatalogError) in
            let (study, patient) = (row.integer(0), row.integer(1))
            if study > after { all.append((study, patient)) }
            if study == 0 { whole.insert(patient) }
            return true
        }
        for patient in whole {
            let links = builder.linkStatement(of: patient, through: last)
            try database.statement(links.sql).forEach(links.values) { row throws(CatalogError) in
                if row.integer(0) > after { all.append((row.integer(0), patient)) }
                return true
            }
        }
        all.sort { $0 < $1 }
        var matches: [Match] = []
        var index = 0
        while index < all.count, matches.count < limit {
            let (study, first) = all[index]
            var patients = [first]
            while index < all.count, all[index].study == study {
                if all[index].patient != patients.last { patients.append(all[index].patient) }
                index += 1
            }
            var patient = first
            // A study in conflict is found under two patients; where both match, it is answered as its own one's.
            if patients.count > 1 {
                let own = try database.statement("SELECT patient FROM study WHERE id = ?").first([.integer(study)]) {
                    $0.integer(0)
                }
                if let own, patients.contains(own) { patient = own }
            }
            matches.append((study, patient))
        }
        return matches
    }

    private func builder(_ query: CatalogQuery, _ filter: ScopeFilter?) throws(CatalogError) -> QueryBuilder {
        var query = query
        var hasRareWord = false
        if query.fuzzyPatientWords.count > 1, let rarest = try rarestWord(query.fuzzyPatientWords) {
            query.fuzzyPatientWords.swapAt(0, rarest)
            hasRareWord = true
        }
        var part: NamePattern?
        if let pattern = QueryBuilder.infix(in: query) { part = try rarestPart(of: pattern) }
        if filter == nil, try datesLead(query, part) {
            return QueryBuilder(query, datesLead: true, hidesSome: try hidesSome())
        }
        var studies: [[String]] = []
        for (field, pattern) in QueryBuilder.studyPatterns(in: query) {
            studies.append(try samples.studies.rarest(of: pattern, field, in: database))
        }
        return QueryBuilder(
            query, part: part, hasRareWord: hasRareWord, studyGrams: studies, hidesSome: try hidesSome(), scope: filter)
    }

    private static let datedMaximum: Int64 = 5000

    /// Whether the studies of some dates are best looked at one by one: a part of a description, or a given name, may be that of
    /// fifty thousand, all of which would be found before the date decides (100 ms at a million studies; 3 for those of a day).
    private func datesLead(_ query: CatalogQuery, _ part: NamePattern?) throws(CatalogError) -> Bool {
        let others = query.conditions.filter { $0.column != .studyDate }
        guard query.level == .study, !others.isEmpty, others.count < query.conditions.count,
            query.dateTimeRanges.isEmpty, query.request.isEmpty
        else { return false }
        let counting = QueryBuilder.datedCount(query, upTo: Self.datedMaximum + 1)
        let dated = try database.statement(counting.sql).first(counting.values) { $0.integer(0) }!
        guard dated <= Self.datedMaximum else { return false }
        for condition in others where try !isWider(condition, than: dated, query, part) { return false }
        return true
    }

    /// Whether looking up a condition by itself finds more studies than that.
    private func isWider(
        _ condition: CatalogCondition, than number: Int64, _ query: CatalogQuery, _ part: NamePattern?
    ) throws(CatalogError) -> Bool {
        if condition.column == .patientName {
            let words =
                (part.map { [QueryBuilder.spelled($0)] } ?? [])
                + query.fuzzyPatientWords.prefix(1).map(QueryBuilder.spelled)
            for words in words where try count(words, upTo: number + 1) > number { return true }
            return false
        }
        var alone = query
        alone.conditions = [condition]
        guard let (field, pattern) = QueryBuilder.studyPatterns(in: alone).first else { return false }
        return try samples.studies.estimate(pattern, field, in: database) > number
    }

    /// Most archives hide nothing, and need not ask of each row.
    func hidesSome() throws(CatalogError) -> Bool {
        try database.statement("SELECT 1 FROM hidden LIMIT 1").first([]) { _ in true } ?? false
    }

    /// The plan of a query's search, a line a step; tests hold it against the indexes that it should use.
    package func plan(_ query: CatalogQuery) throws(CatalogError) -> [String] {
        var builder = try builder(query, try resolve(query.scope, query.shownReasons).filter)
        let sql = builder.statement(after: 0, limit: CatalogCursor.chunkRows)
        let search = builder.nameStatement() ?? SQLCondition(sql: sql, values: builder.values)
        var lines: [String] = []
        try database.statement("EXPLAIN QUERY PLAN " + search.sql).forEach(search.values) { row throws(CatalogError) in
            lines.append(row.text(3) ?? "")
            return true
        }
        return lines
    }

    // MARK: Rows

    private static let rowStatements: [String] = (0..<4).map { level in
        let parents = ["nameless_study", "patient", "study", "series"]
        // A patient who has nothing but a study in conflict, which is counted as another's, shows that study's instance.
        let firstOfPatient = """
            coalesce(first_instance, (SELECT s.first_instance FROM study_patient l JOIN study s ON s.id = l.study
                WHERE l.patient = patient.id ORDER BY s.id LIMIT 1))
            """
        let counts = [
            "studies, series, instances, \(firstOfPatient), 0",
            "series, instances, first_instance, modalities, sop_classes",
            "instances, first_instance, 0, 0, 0", "id, 0, 0, 0, 0",
        ]
        let columns = rowColumns[level].map(\.sqlName).joined(separator: ", ")
        let table = CatalogLevel(rawValue: level)!.table
        return "SELECT \(parents[level]), flags, \(counts[level]), \(columns) FROM \(table) WHERE id = ?"
    }

    /// What a level's rows tell: a study's of its patient, too.
    private static let rowColumns: [[CatalogColumn]] = [CatalogLevel.patient, .study, .series, .instance].map { level in
        CatalogColumn.columns(of: level) + (level == .study ? CatalogColumn.columns(of: .patient) : [])
    }

    private func row(
        _ query: CatalogQuery, _ id: Int64, patient: Int64?, _ asker: ResolvedScope
    ) throws(CatalogError) -> CatalogRow? {
        var row = CatalogRow()
        var place = RowPlace()
        var first: Int64?
        var level = query.level
        var id = id
        while true {
            let asksContent = level == .study && query.needsContents && asker.filter == nil
            var (modalities, classes): (String?, String?)
            let found = try database.statement(Self.rowStatements[level.rawValue]).first([.integer(id)]) { columns in
                let instance = Self.readCounts(level, columns, into: &row)
                if level == query.level {
                    row.flags = CatalogFlags(rawValue: columns.integer(1))
                    first = instance
                }
                if asksContent { (modalities, classes) = (columns.text(5), columns.text(6)) }
                for (index, column) in Self.rowColumns[level.rawValue].enumerated() {
                    row.set(column, columns.text(7 + index))
                }
                return columns.integer(0)
            }
            guard let parent = found else { return nil }
            place.ids[level.rawValue] = id
            if let modalities, let classes {
                row.setContents(modalities: modalities, sopClasses: classes)
            } else if asksContent {
                try readContent(id, of: 0, into: &row)
            }
            guard let above = CatalogLevel(rawValue: level.rawValue - 1) else { break }
            if above == .patient {
                guard let known = try self.patient(patient, of: id, parent, asker, &place) else { return nil }
                id = known
                // The study's row has told of its own.
                if id == parent, !query.countsPatients {
                    place.ids[above.rawValue] = id
                    break
                }
            } else {
                id = parent
            }
            level = above
        }
        if let filter = asker.filter { first = try restrict(&row, query, place, filter, first: first ?? 0) }
        if let first, query.needsRepresentative || !row.unknownLevels.isEmpty {
            row.representative = try version(ofInstance: first, asker)
        }
        return row
    }

    /// - Returns: the id of the first instance.
    private static func readCounts(_ level: CatalogLevel, _ columns: Statement, into row: inout CatalogRow) -> Int64 {
        switch level {
        case .patient:
            row.numberOfPatientRelatedStudies = Int(columns.integer(2))
            row.numberOfPatientRelatedSeries = Int(columns.integer(3))
            row.numberOfPatientRelatedInstances = Int(columns.integer(4))
            return columns.integer(5)
        case .study:
            row.numberOfStudyRelatedSeries = Int(columns.integer(2))
            row.numberOfStudyRelatedInstances = Int(columns.integer(3))
            return columns.integer(4)
        case .series:
            row.numberOfSeriesRelatedInstances = Int(columns.integer(2))
            return columns.integer(3)
        case .instance: return columns.integer(2)
        }
    }

    /// - Parameter organisation: 0: all of them together.
    func readContent(_ study: Int64, of organisation: Int64, into row: inout CatalogRow) throws(CatalogError) {
        row.modalitiesInStudy = []
        row.sopClassesInStudy = []
        try database.statement(
            "SELECT kind, value FROM study_content WHERE study = ? AND organisation = ? ORDER BY kind, value"
        )
        .forEach([.integer(study), .integer(organisation)]) { columns throws(CatalogError) in
            row.addContent(kind: columns.integer(0), columns.text(1))
            return true
        }
    }

    // MARK: Versions

    /// 0: it has never sent anything.
    func organisationID(_ name: String) throws(CatalogError) -> Int64 {
        if let known = organisationIDs[name] { return known }
        let found = try database.statement("SELECT id FROM organisation WHERE name = ?").first([.text(name)]) {
            $0.integer(0)
        }
        guard let found else { return 0 }
        organisationIDs[name] = found
        return found
    }

    static let versionColumns = """
        v.sop_class_uid, i.uid, e.uid, s.uid, v.transfer_syntax, v.blob, v.writer, v.segment, v.offset, v.length,
        v.data_set_length, v.sequence, o.name, v.calling_ae_title, i.flags
        """
    static let versionTables = """
        version v JOIN instance i ON i.id = v.instance JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study
        JOIN organisation o ON o.id = v.organisation
        """

    /// The version that an organisation gets: the newest that it sent itself, else the newest from whoever sent the
    /// instance first. What others sent later is kept and listed, never served in its place, unless these have deleted theirs.
    private func version(ofInstance id: Int64, _ asker: ResolvedScope) throws(CatalogError) -> CatalogVersion? {
        if let filter = asker.filter { return try version(ofInstance: id, filter) }
        return try database.statement(
            """
            SELECT \(Self.versionColumns) FROM \(Self.versionTables) WHERE v.id = coalesce(
                (SELECT version FROM version_source WHERE instance = ?1 AND organisation = ?2 ORDER BY sequence DESC LIMIT 1),
                (SELECT version FROM version_source WHERE instance = ?1 AND organisation =
                    (SELECT first_organisation FROM instance WHERE id = ?1) ORDER BY sequence DESC LIMIT 1),
                (SELECT version FROM version_source WHERE instance = ?1 ORDER BY sequence DESC LIMIT 1))
            """
        ).first([.integer(id), .integer(asker.own)], Self.version)
    }

    static func version(_ row: Statement) -> CatalogVersion {
        CatalogVersion(
            sopClassUID: row.text(0) ?? "", sopInstanceUID: row.text(1) ?? "", seriesInstanceUID: row.text(2) ?? "",
            studyInstanceUID: row.text(3) ?? "", transferSyntaxUID: row.text(4) ?? "", blobID: row.blob(5),
            location: CatalogLocation(
                writer: UInt32(row.integer(6)), segment: UInt32(row.integer(7)), offset: UInt64(row.integer(8)),
                length: UInt64(row.integer(9))),
            dataSetLength: UInt64(row.integer(10)), sequence: UInt64(row.integer(11)), organisation: row.text(12) ?? "",
            callingAETitle: row.text(13) ?? "", flags: CatalogFlags(rawValue: row.integer(14)))
    }

    /// All versions of an instance, oldest first.
    package func versions(sopInstanceUID: String) throws(CatalogError) -> [CatalogVersion] {
        var versions: [CatalogVersion] = []
        try database.statement(
            "SELECT \(Self.versionColumns) FROM \(Self.versionTables) WHERE i.uid = ? ORDER BY v.sequence"
        ).forEach([.text(sopInstanceUID)]) { row throws(CatalogError) in
            versions.append(Self.version(row))
            return true
        }
        return versions
    }

    /// The selected instances behind `after`, each in the version that the asker gets.
    /// - Returns: the versions of one page, and the id to go on behind; nil: that was all.
    func versions(
        _ selection: CatalogSelection, scope: CatalogScope, after: Int64
    ) throws -> (page: [CatalogVersion], next: Int64?) {
        var query = CatalogQuery(level: .instance, scope: scope)
        func add(_ column: CatalogColumn, _ list: [String]) {
            if !list.isEmpty { query.conditions.append(CatalogCondition(column: column, match: .anyOf(list))) }
        }
        add(.studyInstanceUID, selection.studyInstanceUIDs)
        add(.seriesInstanceUID, selection.seriesInstanceUIDs)
        add(.sopInstanceUID, selection.sopInstanceUIDs)
        if let (id, issuer) = selection.patientID {
            add(.patientID, [id])
            if let issuer { add(.issuerOfPatientID, [issuer]) }
        }
        query.shownReasons = selection.shownReasons
        let asker = try resolve(scope, selection.shownReasons)
        let limit = 1000
        let found = try ids(query, asker, after: after, limit: limit)
        let page = try found.compactMap { try version(ofInstance: $0.id, asker) }
        return (page, found.count == limit ? found.last?.id : nil)
    }
}

/// Read-only connections, lent one to a thread.
package final class CatalogReaders: Sendable {
    private struct State: @unchecked Sendable {
        var idle: [CatalogReader] = []
        var open = 0
    }

    private static let idleMaximum = 8
    private let path: String
    private let maximum: Int
    private let state = Monitor(State())
    private let samples = CatalogReader.Samples()
    private let searchSecondsMaximum: Double?
    private let catchUp: (@Sendable () -> Void)?

    /// - Parameters:
    ///   - maximum: connections; more askers wait.
    ///   - searchSecondsMaximum: what looking for the next rows of an answer may take before it fails with `.tooLong`.
    ///   - catchUp: called before a reader is lent: waits for what the catalog is still to be told.
    package init(
        path: String, maximum: Int = 16, searchSecondsMaximum: Double? = nil, catchUp: (@Sendable () -> Void)? = nil
    ) throws(CatalogError) {
        self.path = path
        self.maximum = maximum
        self.searchSecondsMaximum = searchSecondsMaximum
        self.catchUp = catchUp
        // The first one shows whether there is a catalog at all.
        let reader = try CatalogReader(path: path, samples: samples, searchSecondsMaximum: searchSecondsMaximum)
        try reader.checkSchema()
        state.withLock {
            $0.idle = [reader]
            $0.open = 1
        }
    }

    /// Lends a reader, to whom the catalog stands still meanwhile. Not to be held while somebody else is waited for.
    package func withReader<Result>(_ body: (CatalogReader) throws -> Result) throws -> Result {
        catchUp?()
        return try lend(body)
    }

    /// For what follows of an answer, which is owed nothing that came since.
    private func lend<Result>(_ body: (CatalogReader) throws -> Result) throws -> Result {
        let reader = try borrow()
        defer { giveBack(reader) }
        return try reader.database.snapshot { try body(reader) }
    }

    /// Hands out each matching row, in the order of first receipt, until `body` says false. No reader is held meanwhile:
    /// who takes its answer slowly holds up nobody.
    package func find(_ query: CatalogQuery, _ body: (CatalogRow) throws -> Bool) throws {
        let start = Clock.monotonicNanoseconds()
        catchUp?()
        if try handOut(CatalogCursor(query), body) == 0 { query.scope.concealAbsence(since: start) }
    }

    /// - Returns: the rows that there were, until `body` has said false.
    @discardableResult
    private func handOut(_ answer: CatalogCursor, _ body: (CatalogRow) throws -> Bool) throws -> Int {
        var cursor = answer
        var count = 0
        while !cursor.isAtEnd {
            let rows = try lend { try cursor.next($0) }
            count += rows.count
            for row in rows where try !body(row) { return count }
        }
        return count
    }

    /// Finds the page of a query that its offset and limit tell, and counts the rest up to `maximum`.
    package func page(_ query: CatalogQuery, countingUpTo maximum: Int) throws -> CatalogReader.Page {
        let start = Clock.monotonicNanoseconds()
        let page = try withReader { try $0.page(query, countingUpTo: maximum) }
        if page.isEmpty { query.scope.concealAbsence(since: start) }
        return page
    }

    /// Hands out the rows of a page as `find` does. It was found in a catalog that had caught up.
    package func rows(_ page: CatalogReader.Page, _ body: (CatalogRow) throws -> Bool) throws {
        try handOut(page.cursor, body)
    }

    /// Of instances with the same UID under several series only one can be meant by it: the asker's own newest, else the
    /// one that came first.
    private static func withoutNamesakes(_ versions: [CatalogVersion], _ organisation: String) -> [CatalogVersion] {
        guard versions.contains(where: { $0.flags.contains(.conflict) }) else { return versions }
        return Dictionary(grouping: versions, by: \.sopInstanceUID).values.map { namesakes in
            let own = namesakes.filter { $0.organisation == organisation }
            return own.max { $0.sequence < $1.sequence } ?? namesakes.min { $0.sequence < $1.sequence }!
        }
    }

    /// Few are kept: each has a page cache of its own.
    private func giveBack(_ reader: CatalogReader) {
        state.update { state in
            if state.idle.count < Self.idleMaximum { state.idle.append(reader) } else { state.open -= 1 }
        }
    }

    private func borrow() throws(CatalogError) -> CatalogReader {
        let idle: CatalogReader?? = state.wait { state in
            if let reader = state.idle.popLast() { return .some(reader) }
            guard state.open < maximum else { return nil }
            state.open += 1
            return .some(nil)
        }
        if let reader = idle ?? nil { return reader }
        do {
            return try CatalogReader(path: path, samples: samples, searchSecondsMaximum: searchSecondsMaximum)
        } catch {
            state.update { $0.open -= 1 }
            throw error
        }
    }

    /// All selected instances in the order in which they lie on disk.
    package func versions(_ selection: CatalogSelection, scope: CatalogScope) throws -> [CatalogVersion] {
        let start = Clock.monotonicNanoseconds()
        var all: [CatalogVersion] = []
        var after: Int64? = 0
        catchUp?()
        while let id = after {
            let (page, next) = try lend { try $0.versions(selection, scope: scope, after: id) }
            all += page
            after = next
        }
        if all.isEmpty { scope.concealAbsence(since: start) }
        return Self.withoutNamesakes(all, scope.organisation).sorted { left, right in
            (left.location.writer, left.location.segment, left.location.offset)
                < (right.location.writer, right.location.segment, right.location.offset)
        }
    }
}

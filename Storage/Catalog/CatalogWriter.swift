// SPDX-License-Identifier: Apache-2.0
import Database
import Glibc
import Platform

/// The one writer of the catalog: applies events in the order of their sequence numbers, a batch a transaction. What it
/// writes depends on the events alone, so that a rebuild gives the same tables.
package final class CatalogWriter {
    let database: Database
    let path: String
    private let nameKey: @Sendable (String) -> String
    package let turn: CatalogTurn
    var cache = CatalogCache()
    /// Counts of the running transaction, written once at its end.
    var pending = PendingCounts()
    /// Likewise what it adds to the indexes of words.
    var pendingWords = PendingWords()
    package private(set) var position: CatalogPosition?
    private var isReplaying = false
    /// The transaction that is open, and how far it has come; of a replay it may stay open from batch to batch.
    private var transaction: (events: Int, position: CatalogPosition?)?
    private static let replayedPerTransaction = 20_000
    private var pageCache = CatalogPageCache()
    private var reserve: CatalogReserve
    /// 512 MiB: what is changed before a commit is held in memory up to here, and then written before it. A page that is written,
    /// read again and changed again has SQLite read all that the write-ahead log got since, for its checksums. Only what
    /// deletes a million images at once comes so far, and a replay, whose transactions are larger than memory should be.
    private static let spillPages = 131_072
    private static let replayCacheKiB = 262_144

    /// - Parameter nameKey: under what a word of a folded name is found by fuzzy matching; empty: not at all.
    package init(path: String, nameKey: @escaping @Sendable (String) -> String = { _ in "" }) throws(CatalogError) {
        self.nameKey = nameKey
        self.path = path
        var database = try Self.open(path)
        // An older schema is not migrated: all of it is in the log, and is replayed from there.
        if try Self.version(of: database) < Schema.version {
            database.close()
            for file in [path, path + "-wal", path + "-shm"] { unlink(file) }
            database = try Self.open(path)
        }
        guard try Self.version(of: database) == Schema.version else {
            throw CatalogError(kind: .newerSchema, message: CatalogError.newerSchemaText)
        }
        position = try database.position()
        turn = CatalogTurn(after: database)
        reserve = CatalogReserve(path: path)
        reserve.keep(database)
        self.database = database
    }

    private static func open(_ path: String) throws(CatalogError) -> Database {
        let database = try Database(path: path, isReadOnly: false, cacheKiB: CatalogPageCache.leastKiB)
        // Commits of one instance write each page that they touch, so pages are small.
        try database.execute("PRAGMA page_size=4096")
        try database.execute("PRAGMA journal_mode=WAL")
        // The log is what is durable; after a power cut the lost transactions are replayed from it.
        try database.execute("PRAGMA synchronous=NORMAL")
        try database.execute("PRAGMA wal_autocheckpoint=0")
        try database.execute("PRAGMA cache_spill=\(spillPages)")
        // What a long transaction, or a reader who stayed, has made longer is given back when it begins anew.
        try database.execute("PRAGMA journal_size_limit=\(CatalogCheckpointer.writeAheadBytesKept)")
        database.countWriteAheadPages()
        try createSchema(in: database)
        return database
    }

    package func close() { database.close() }

    private static func createSchema(in database: Database) throws(CatalogError) {
        let tables = try database.statement("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'")
        guard try tables.first([], { $0.integer(0) }) == 0 else { return }
        let others = try database.statement("SELECT count(*) FROM sqlite_schema").first([]) { $0.integer(0) }
        guard others == 0 else {
            throw CatalogError(
                kind: .corrupt, message: "the catalog's file is another program's database; remove it")
        }
        try database.execute("BEGIN IMMEDIATE")
        do {
            try Schema.create(in: database)
            try database.execute("COMMIT")
        } catch {
            try? database.execute("ROLLBACK")
            throw error
        }
    }

    private static func version(of database: Database) throws(CatalogError) -> Int64 {
        try database.statement("SELECT value FROM meta WHERE key = 'schema'").first([]) { $0.integer(0) } ?? 0
    }

    /// Where the live copy of a blob is.
    package func location(ofBlob blobID: [UInt8]) throws(CatalogError) -> (CatalogLocation, dataSetLength: UInt64)? {
        try database.blobLocation(blobID)
    }

    // MARK: Applying events

    /// Applies all events or none. Those that were applied before (by their sequence number) are passed over.
    package func apply(_ events: [CatalogEvent], position: CatalogPosition) throws(CatalogError) {
        try inTurn { () throws(CatalogError) in try take(events, position: position) }
    }

    func inTurn(_ body: () throws(CatalogError) -> Void) throws(CatalogError) {
        try turn.write(in: database) { () throws(CatalogError) in
            try body()
            reserve.keep(database, isReplay: isReplaying)
        }
    }

    private func take(_ events: [CatalogEvent], position: CatalogPosition) throws(CatalogError) {
        do {
            if transaction == nil {
                boundWriteAheadLog()
                try database.execute("BEGIN IMMEDIATE")
            }
            var open = transaction ?? (0, self.position)
            var reached = open.position?.sequence ?? 0
            for event in events where event.sequence > reached {
                try apply(event)
                reached = event.sequence
            }
            // A position never goes back, or what lies between would be applied twice.
            if position.sequence > open.position?.sequence ?? 0 { open.position = position }
            open.events += events.count
            transaction = open
            if !isReplaying || open.events >= Self.replayedPerTransaction { try commit() }
            if !isReplaying { pageCache.fit(to: open.events, in: database) }
        } catch {
            rollBack()
            throw error
        }
    }

    private func commit() throws(CatalogError) {
        let reached = transaction?.position
        pending.position = reached
        try pending.write(to: database)
        try pendingWords.write(to: database)
        try database.execute("COMMIT")
        transaction = nil
        position = reached
    }

    private func rollBack() {
        try? database.execute("ROLLBACK")
        transaction = nil
        cache = CatalogCache()
        pending = PendingCounts()
        pendingWords = PendingWords()
    }

    /// Many batches follow. Blob ids have no order, so nearly each one that is added changes another page of their index: what
    /// is replayed is committed in larger pieces, from a larger cache, and each page is written less often (500,000 instances
    /// in 21 s instead of 26 s).
    package func beginReplay() {
        guard !isReplaying else { return }
        // With the cache that it has, it works, too.
        try? database.execute("PRAGMA cache_size=-\(Self.replayCacheKiB)")
        try? database.execute("PRAGMA cache_spill=1")
        isReplaying = true
    }

    /// Remembers, until the catalog is made anew, that the log has something which could not be read into it: what the
    /// catalog does not know is not for that reason unwanted.
    package func noteIncomplete() throws(CatalogError) {
        try database.statement("INSERT OR REPLACE INTO meta VALUES('incomplete', 1)").run([])
    }

    /// Commits what is left and gives the memory back.
    package func endReplay() throws(CatalogError) {
        guard isReplaying else { return }
        defer { isReplaying = false }
        try inTurn { () throws(CatalogError) in
            guard transaction != nil else { return }
            do throws(CatalogError) { try commit() } catch {
                rollBack()
                throw error
            }
        }
        try? database.execute("PRAGMA cache_size=-\(pageCache.kiB)")
        try? database.execute("PRAGMA cache_spill=\(Self.spillPages)")
        try? database.execute("PRAGMA shrink_memory")
        reserve.keep(database)
        _ = database.takeCacheMisses()
    }

    /// Lets the write-ahead log of a replay begin anew when it has grown long; nobody else is there to do it yet. A commit
    /// follows, as `CatalogCheckpointer` relies on.
    private func boundWriteAheadLog() {
        guard isReplaying, database.writeAheadPages > CatalogCheckpointer.writeAheadPagesMaximum else { return }
        // What was committed stands; the log only grows.
        do { try database.checkpoint(.restart) } catch { Log.warning("catalog checkpoint failed", ["why": "\(error)"]) }
    }

    private func apply(_ event: CatalogEvent) throws(CatalogError) {
        switch event {
        case .instance(let instance): try add(instance)
        case .sighting(let sighting): try add(sighting)
        case .tombstone(let tombstone): try bury(tombstone)
        case .undelete(_, let tombstone): try undelete(tombstone)
        case .purge(_, let tombstone): try purge(tombstone)
        case .damaged(_, let blobID): try flagDamaged(blobID)
        case .setting(_, let name, let value):
            try database.statement(
                "INSERT INTO setting VALUES(?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
            ).run([.text(name), .text(value)])
        case .other: break
        }
    }

    /// Writes the counts gathered so far, where something must be computed from them.
    func writeCounts() throws(CatalogError) { try pending.write(to: database) }

    private func add(_ sighting: CatalogSighting) throws(CatalogError) {
        let organisation = try organisationID(sighting.source.organisation)
        let found = try database.statement("SELECT id, instance, data_set_length FROM version WHERE blob = ?")
            .first([.blob(sighting.blobID)]) { ($0.integer(0), $0.integer(1), $0.integer(2)) }
        // The record that it refers to may be damaged beyond reading; then there is nothing to see again.
        guard let (version, instance, length) = found else { return }
        try add(caller: sighting.source, of: sighting.blobID)
        pending.totals.sightings += 1
        pending.totals.savedBytes += length
        try arrive(at: instance) { () throws(CatalogError) in
            try addSource(
                instance, organisation, sighting.sequence, version, try adopt(version, by: organisation))
        }
    }

    /// Known content, newly written: the old copy was damaged, and readers are sent to the new one.
    private func heal(_ instance: CatalogInstance) throws(CatalogError) -> Bool {
        let known = try database.statement("SELECT id, instance, flags FROM version WHERE blob = ?")
            .first([.blob(instance.blobID)]) { ($0.integer(0), $0.integer(1), CatalogFlags(rawValue: $0.integer(2))) }
        guard let (version, id, flags) = known else { return false }
        try discard(version: version)
        try database.statement("UPDATE version SET writer = ?, segment = ?, offset = ?, length = ? WHERE id = ?")
            .run(location(instance.location) + [.integer(version)])
        if flags.contains(.damaged) { try clearDamaged(version, of: id) }
        if instance.isOwnCopy { return true }
        pending.totals.sightings += 1
        let organisation = try organisationID(instance.source.organisation)
        try arrive(at: id) { () throws(CatalogError) in
            try addSource(id, organisation, instance.sequence, version, try adopt(version, by: organisation))
        }
        return true
    }

    private func add(_ event: CatalogInstance) throws(CatalogError) {
        if try heal(event) {
            if !event.isOwnCopy { try add(caller: event.source, of: event.blobID) }
            return
        }
        let organisation = try organisationID(event.source.organisation)
        var known: KnownLevels = []
        let owner = try patient(event, organisation, &known)
        let patient = owner.id
        let series = try series(event, of: owner, organisation, &known)
        let isFaulty = event.flags & 1 != 0
        var flags: CatalogFlags = isFaulty ? .faultyUID : []
        let inserted = try insert(instance: event, series.id, organisation, flags)
        let instance = if let inserted { inserted } else { try otherVersion(event, series.id, &flags, &known) }
        if let inserted {
            known.insert(.instance)
            try flagNamesakes(.instance, event[.sopInstanceUID], inserted)
        }
        let version = try insert(version: event, instance, patient, organisation, flags, known)
        pending.totals.versions += 1
        pending.totals.storedBytes += Int64(event.dataSetLength)
        guard inserted != nil else {
            return try arrive(at: instance) { () throws(CatalogError) in
                try addSource(instance, organisation, event.sequence, version, known)
                if let rejection = event.rejection { try add(rejection, note: instance) }
            }
        }
        // What is new was sent by nobody before, so that need not be looked up.
        try insert(source: version, of: instance, organisation, event.sequence)
        try count(event, instance, series)
        try count(
            Place(
                series: series.id, study: series.study.id, date: series.study.date, modality: series.modality,
                sopClassUID: event[.sopClassUID], isNewSeries: series.isNew, isNewStudy: series.isOfNewStudy),
            organisation, known)
        cache.series[.init(uid: .init(event[.seriesInstanceUID]), study: series.study.id)] = CatalogCache.Series(
            id: series.id, study: series.study, modality: series.modality, values: series.values)
        try place(new: instance, event[.sopInstanceUID], in: series)
        if let rejection = event.rejection { try add(rejection, note: instance) }
    }

    /// A further version of an instance that is known: both are kept and flagged.
    private func otherVersion(
        _ event: CatalogInstance, _ series: Int64, _ flags: inout CatalogFlags, _ known: inout KnownLevels
    ) throws(CatalogError) -> Int64 {
        flags.insert(.conflict)
        let (id, values) = try database.statement(
            """
            UPDATE instance SET versions = versions + 1, flags = flags | 2 WHERE uid = ? AND series = ?
                RETURNING id, \(Self.valueColumns(.instance))
            """
        ).first([.text(event[.sopInstanceUID]), .integer(series)]) {
            ($0.integer(0), Self.values(.instance, $0, from: 1))
        }!
        if values == event.values(of: .instance) { known.insert(.instance) }
        return id
    }

    /// What a row says at its level.
    private static func valueColumns(_ level: CatalogLevel) -> String {
        level.valueColumns.map(\.sqlName).joined(separator: ", ")
    }

    private static func values(_ level: CatalogLevel, _ row: Statement, from first: Int) -> [String?] {
        level.valueColumns.indices.map { row.text(first + $0) }
    }

    /// The same UID under another parent: both are kept where they came, and flagged.
    private func flagNamesakes(_ level: CatalogLevel, _ uid: String, _ id: Int64) throws(CatalogError) {
        let other = try database.statement("namesake", form: level.rawValue) {
            "SELECT 1 FROM \(level.table) WHERE uid = ? AND id <> ?"
        }.first([.text(uid), .integer(id)]) { _ in true }
        guard other != nil else { return }
        try database.statement("UPDATE \(level.table) SET flags = flags | 2 WHERE uid = ?").run([.text(uid)])
    }

    // MARK: Rows

    private static var instanceInsertion: String {
        let columns = CatalogColumn.columns(of: .instance)
        let names = columns.map(\.sqlName).joined(separator: ", ")
        let places = String(repeating: ", ?", count: columns.count)
        return "INSERT INTO instance(series, first_organisation, flags, \(names)) VALUES(?, ?, ?\(places))"
            + " ON CONFLICT(uid, series) DO NOTHING"
    }

    private func insert(
        instance event: CatalogInstance, _ series: Int64, _ organisation: Int64, _ flags: CatalogFlags
    ) throws(CatalogError) -> Int64? {
        try database.statement("add instance", form: 0) { Self.instanceInsertion }.run(
            [.integer(series), .integer(organisation), .integer(flags.rawValue)]
                + CatalogColumn.columns(of: .instance).map { Statement.Value(event.values[$0.rawValue]) })
        return database.changes > 0 ? database.lastInsertedID : nil
    }

    private func insert(
        version event: CatalogInstance, _ instance: Int64, _ patient: Int64, _ organisation: Int64,
        _ flags: CatalogFlags, _ known: KnownLevels
    ) throws(CatalogError) -> Int64 {
        try database.statement(
            """
            INSERT INTO version(instance, patient, blob, sequence, writer, segment, offset, length, data_set_length,
                sop_class_uid, transfer_syntax, organisation, calling_ae_title, flags, known)
                VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """
        ).run(
            [.integer(instance), .integer(patient), .blob(event.blobID), .integer(Int64(event.sequence))]
                + location(event.location) + [
                    .integer(Int64(event.dataSetLength)), .text(event[.sopClassUID]), .text(event.transferSyntaxUID),
                    .integer(organisation),
                    .text(event.source.callingAETitle), .integer(flags.rawValue), .integer(known.rawValue),
                ])
        return database.lastInsertedID
    }

    func location(_ location: CatalogLocation) -> [Statement.Value] {
        [
            .integer(Int64(location.writer)), .integer(Int64(location.segment)), .integer(Int64(location.offset)),
            .integer(Int64(location.length)),
        ]
    }

    /// Only the first sighting of a version by an organisation counts: a modality that sends the original again does not
    /// undo the correction that came in between.
    private func addSource(
        _ instance: Int64, _ organisation: Int64, _ sequence: UInt64, _ version: Int64, _ versionKnows: KnownLevels
    ) throws(CatalogError) {
        let known = try database.statement(
            "SELECT count(*), coalesce(max(version = ?3), 0) FROM version_source WHERE instance = ?1 AND organisation = ?2"
        ).first([.integer(instance), .integer(organisation), .integer(version)]) {
            (versions: $0.integer(0), isThis: $0.integer(1) == 1)
        }!
        guard !known.isThis else { return }
        let place = try place(ofInstance: instance)
        if known.versions == 0 { try count(place, organisation, []) }
        try add(versionKnows, to: place, organisation)
        try insert(source: version, of: instance, organisation, sequence)
    }

    private func insert(source version: Int64, of instance: Int64, _ organisation: Int64, _ sequence: UInt64)
        throws(CatalogError)
    {
        try database.statement("INSERT INTO version_source VALUES(?, ?, ?, ?)").run([
            .integer(instance), .integer(organisation), .integer(Int64(sequence)), .integer(version),
        ])
    }

    func organisationID(_ name: String) throws(CatalogError) -> Int64 {
        if let id = cache.organisations[name] { return id }
        try database.statement("INSERT INTO organisation(name) VALUES(?) ON CONFLICT DO NOTHING").run([.text(name)])
        let id = try database.statement("SELECT id FROM organisation WHERE name = ?").first([.text(name)]) {
            $0.integer(0)
        }!
        cache.organisations[name] = id
        return id
    }

    // MARK: Patient, study, series

    private func series(
        _ event: CatalogInstance, of patient: CatalogCache.Patient, _ organisation: Int64, _ known: inout KnownLevels
    ) throws(CatalogError) -> CatalogCache.Series {
        let study = try study(event, of: patient, organisation, &known)
        let uid = event[.seriesInstanceUID]
        if cache.series.count > CatalogCache.maximum { cache.series.removeAll() }
        var series = cache.series[.init(uid: .init(uid), study: study.id)]
        if series == nil, !study.isNew {
            series = try database.statement("known series", form: 0) {
                "SELECT id, modality, \(Self.valueColumns(.series)) FROM series WHERE uid = ? AND study = ?"
            }.first([.text(uid), .integer(study.id)]) {
                CatalogCache.Series(
                    id: $0.integer(0), study: study.known, modality: $0.text(1) ?? "",
                    values: Self.values(.series, $0, from: 2))
            }
        }
        let values = event.values(of: .series)
        if let series {
            if series.values == values { known.insert(.series) }
            try addRequests(event, series.id, organisation)
            return series
        }
        known.insert(.series)
        let id = try insert(.series, parent: study.id, event)
        try flagNamesakes(.series, uid, id)
        try addRequests(event, id, organisation)
        pending.studies[study.id, default: .init()].series += 1
        pending.patients[study.patient, default: .init()].series += 1
        pending.totals.series += 1
        return CatalogCache.Series(
            id: id, study: study.known, modality: event[.modality], values: values, isNew: true,
            isOfNewStudy: study.isNew)
    }

    private func study(
        _ event: CatalogInstance, of owner: CatalogCache.Patient, _ organisation: Int64, _ known: inout KnownLevels
    ) throws(CatalogError) -> CatalogCache.Study {
        let patient = owner.id
        let uid = event[.studyInstanceUID]
        if cache.studies.count > CatalogCache.maximum { cache.studies.removeAll() }
        var study = cache.studies[.init(uid)]
        if study == nil {
            study = try database.statement("known study", form: 0) {
                "SELECT id, patient, study_date, \(Self.valueColumns(.study)) FROM study WHERE uid = ?"
            }.first([.text(uid)]) {
                CatalogCache.Study(
                    id: $0.integer(0), patient: $0.integer(1), date: $0.text(2),
                    values: Self.values(.study, $0, from: 3))
            }
        }
        let values = event.values(of: .study)
        if let study {
            cache.studies[.init(uid)] = study
            if study.values == values { known.insert(.study) }
            try add(CatalogCache.Link(study: study.id, patient: patient, organisation: organisation), known)
            if study.patient != patient { try link(study, to: patient) }
            return study
        }
        let id = try insert(
            .study, parent: patient, event,
            further: owner.row + [event[.modality], event[.sopClassUID]].map { StudyContents.text([$0]) })
        let words = StudyField.words(of: [event[.patientID], event[.accessionNumber], event[.studyDescription]])
        pendingWords.studies.append((id, words))
        try database.statement("INSERT INTO study_patient VALUES(?, ?)").run([.integer(patient), .integer(id)])
        try addWords(study: id, patient)
        known.insert(.study)
        try add(CatalogCache.Link(study: id, patient: patient, organisation: organisation), known)
        pending.patients[patient, default: .init()].studies += 1
        pending.totals.studies += 1
        var made = CatalogCache.Study(
            id: id, patient: patient, date: event.values[CatalogColumn.studyDate.rawValue], values: values)
        cache.studies[.init(uid)] = made
        made.isNew = true
        return made
    }

    /// An instance of a known study names another patient: the study is found under both and flagged, until somebody
    /// decides.
    private func link(_ study: CatalogCache.Study, to patient: Int64) throws(CatalogError) {
        try database.statement("INSERT INTO study_patient VALUES(?, ?) ON CONFLICT DO NOTHING").run([
            .integer(patient), .integer(study.id),
        ])
        if database.changes > 0 {
            pending.patients[patient, default: .init()].studies += 1
            try addWords(study: study.id, patient)
        }
        try flag("study", study.id)
    }

    private func flag(_ table: String, _ id: Int64) throws(CatalogError) {
        try database.statement("UPDATE \(table) SET flags = flags | 2 WHERE id = ? AND flags & 2 = 0").run([
            .integer(id)
        ])
    }

    private func patient(
        _ event: CatalogInstance, _ organisation: Int64, _ known: inout KnownLevels
    ) throws(CatalogError) -> CatalogCache.Patient {
        // Nobody knows whose a study without a Patient ID is, so it has a patient of its own.
        let nameless = event[.patientID].isEmpty ? event[.studyInstanceUID] : ""
        let key = CatalogCache.PatientKey(
            id: .init(event[.patientID]), issuer: .init(event[.issuerOfPatientID]), nameless: .init(nameless))
        if cache.patients.count > CatalogCache.maximum { cache.patients.removeAll() }
        let values = event.values(of: .patient)
        var found = cache.patients[key]
        if found == nil {
            found = try database.statement("known patient", form: 0) {
                """
                SELECT id, \(Self.valueColumns(.patient)) FROM patient
                    WHERE patient_id = ? AND issuer = ? AND nameless_study = ?
                """
            }.first([.text(key.id.text), .text(key.issuer.text), .text(nameless)]) {
                CatalogCache.Patient(id: $0.integer(0), key: key, values: Self.values(.patient, $0, from: 1))
            }
        }
        if found == nil {
            var event = event
            event.values[CatalogColumn.patientID.rawValue] = key.id.text
            event.values[CatalogColumn.issuerOfPatientID.rawValue] = key.issuer.text
            let id = try insert(.patient, parent: nil, event, parentText: nameless)
            found = CatalogCache.Patient(id: id, key: key, values: values)
            pending.totals.patients += 1
        }
        let patient = found!
        cache.patients[key] = patient
        if patient.values == values { known.insert(.patient) }
        try addNames(event.folded[CatalogColumn.patientName.rawValue], patient.id, organisation)
        return patient
    }

    /// A patient is found under every name that came with the ID.
    private func addNames(_ folded: String?, _ patient: Int64, _ organisation: Int64) throws(CatalogError) {
        guard let folded, !folded.isEmpty else { return }
        guard cache.names.insert(Array("\(patient)/\(organisation)/\(folded)".utf8)).inserted else { return }
        if cache.names.count > CatalogCache.maximum { cache.names.removeAll() }
        // One group alone may stand behind its sign, as an ideographic name without another.
        let groups = folded.utf8.contains(UInt8(ascii: "=")) ? folded.unicodeScalars.split(separator: "=") : []
        for form in [folded] + groups.map({ String($0) }) {
            let words = NameWords.split(form)
            let isFurther = words.count > Self.wordsMaximum ? true : try hasManyNames(patient)
            try database.statement(
                """
                INSERT INTO patient_name(patient, folded, organisation, is_further) VALUES(?, ?, ?, ?)
                    ON CONFLICT DO NOTHING
                """
            ).run([.integer(patient), .text(form), .integer(organisation), .integer(isFurther ? 1 : 0)])
            guard database.changes > 0 else { continue }
            if isFurther {
                try add(words, organisation, 0, patient)
                continue
            }
            var studies: [Int64] = []
            try database.statement("SELECT study FROM study_patient WHERE patient = ?").forEach([.integer(patient)]) {
                row throws(CatalogError) in
                studies.append(row.integer(0))
                return true
            }
            for study in studies { try add(words, organisation, study, patient) }
        }
    }

    /// So many names of a patient stand beside each of its studies.
    static let firstNamesMaximum: Int64 = 16
    /// If they have no more words than any person's.
    static let wordsMaximum = 32

    private func hasManyNames(_ patient: Int64) throws(CatalogError) -> Bool {
        try database.statement("SELECT count(*) FROM patient_name WHERE patient = ? AND is_further = 0")
            .first([.integer(patient)]) { $0.integer(0) >= Self.firstNamesMaximum } ?? false
    }

    /// A study is found by all names of a patient.
    private func addWords(study: Int64, _ patient: Int64) throws(CatalogError) {
        var names: [(form: String, organisation: Int64)] = []
        try database.statement("SELECT folded, organisation FROM patient_name WHERE patient = ? AND is_further = 0")
            .forEach([.integer(patient)]) { row throws(CatalogError) in
                names.append((row.text(0) ?? "", row.integer(1)))
                return true
            }
        for (form, organisation) in names { try add(NameWords.split(form), organisation, study, patient) }
    }

    private func add(
        _ words: [String], _ organisation: Int64, _ study: Int64, _ patient: Int64
    ) throws(CatalogError) {
        for word in words {
            try database.statement("INSERT INTO study_word VALUES(?, ?, ?, ?) ON CONFLICT DO NOTHING").run([
                .integer(try wordID(word)), .integer(study), .integer(patient), .integer(organisation),
            ])
        }
    }

    private func wordID(_ word: String) throws(CatalogError) -> Int64 {
        let key = Array(word.utf8)
        if let id = cache.words[key] { return id }
        if cache.words.count > CatalogCache.maximum { cache.words.removeAll() }
        var id = try database.statement("SELECT id FROM name_word WHERE word = ?").first([.text(word)]) {
            $0.integer(0)
        }
        if id == nil {
            try database.statement("INSERT INTO name_word(word, reversed, key) VALUES(?, ?, ?)").run([
                .text(word), .text(NameWords.reversed(word)), .text(nameKey(word)),
            ])
            id = database.lastInsertedID
            pendingWords.names.append((id!, word))
        }
        cache.words[key] = id
        return id!
    }

    /// - Parameter further: of a study, what its row tells of its patient and its contents.
    private func insert(
        _ level: CatalogLevel, parent: Int64?, _ event: CatalogInstance, parentText: String = "",
        further: [String?] = []
    ) throws(CatalogError) -> Int64 {
        var values: [Statement.Value] = [parent.map { .integer($0) } ?? .text(parentText)]
        for column in CatalogColumn.columns(of: level) {
            values.append(Statement.Value(event.values[column.rawValue]))
            if column.kind == .personName { values.append(Statement.Value(event.folded[column.rawValue])) }
        }
        for value in further { values.append(Statement.Value(value)) }
        try database.statement("add", form: level.rawValue) { Self.insertion(level) }.run(values)
        return database.lastInsertedID
    }

    /// Of a patient, a study, a series.
    private static func insertion(_ level: CatalogLevel) -> String {
        var names = [["nameless_study", "patient", "study"][level.rawValue]]
        for column in CatalogColumn.columns(of: level) {
            names.append(column.sqlName)
            if column.kind == .personName { names.append(column.foldedName) }
        }
        if level == .study {
            names += CatalogColumn.columns(of: .patient).map(\.sqlName) + StudyContents.allCases.map(\.column)
        }
        let places = names.map { _ in "?" }.joined(separator: ", ")
        return "INSERT INTO \(level.table)(\(names.joined(separator: ", "))) VALUES(\(places))"
    }

    private func addRequests(
        _ event: CatalogInstance, _ series: Int64, _ organisation: Int64
    ) throws(CatalogError) {
        for request in event.requests {
            let values = [
                request.requestedProcedureID, request.scheduledProcedureStepID, request.accessionNumber,
                request.requestedProcedureDescription, request.scheduledProcedureStepDescription,
            ]
            // All slices of a series carry the same items.
            if cache.requests.count > CatalogCache.maximum { cache.requests.removeAll() }
            let known = ([String(series), String(organisation)] + values).map { CatalogCache.ExactText($0) }
            guard cache.requests.insert(known).inserted else { continue }
            try database.statement(
                """
                INSERT INTO series_request(series, requested_procedure_id, scheduled_procedure_step_id, accession_number,
                    requested_procedure_description, scheduled_procedure_step_description, organisation)
                    VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
                """
            ).run([.integer(series)] + values.map { .text($0) } + [.integer(organisation)])
        }
    }

    // MARK: Counts

    private func count(
        _ event: CatalogInstance, _ instance: Int64, _ series: CatalogCache.Series
    ) throws(CatalogError) {
        let study = series.study.id
        let patient = series.study.patient
        pending.series[series.id, default: .init()].instances += 1
        pending.studies[study, default: .init()].instances += 1
        pending.patients[patient, default: .init()].instances += 1
        for (counts, id) in [
            (\PendingCounts.series, series.id), (\PendingCounts.studies, study), (\PendingCounts.patients, patient),
        ] {
            if pending[keyPath: counts][id]!.firstInstance == nil {
                pending[keyPath: counts][id]!.firstInstance = instance
            }
        }
        pending.totals.instances += 1
    }

    /// Counts an instance for an organisation that sends it for the first time, whether it was new to the archive or not.
    private func count(_ place: Place, _ organisation: Int64, _ known: KnownLevels) throws(CatalogError) {
        let inSeries = PendingCounts.OrganisationKey(id: place.series, organisation: organisation)
        let inStudy = PendingCounts.OrganisationKey(id: place.study, organisation: organisation)
        let isNew = place.isNewSeries ? true : try isNewSeries(inSeries)
        if isNew { pending.studyOrganisations[inStudy, default: .init(date: place.date)].series += 1 }
        pending.studyOrganisations[inStudy, default: .init(date: place.date)].instances += 1
        pending.studyOrganisations[inStudy]!.known.formUnion(known.intersection(.study))
        pending.seriesOrganisations[inSeries, default: .init()].instances += 1
        pending.seriesOrganisations[inSeries]!.known.formUnion(known.intersection(.series))
        try add(.modality, place.modality, place, organisation, isKnown: known.contains(.series))
        try add(.sopClass, place.sopClassUID, place, organisation, isKnown: known.contains(.instance))
    }

    /// An organisation has sent a version of what it had sent before, or somebody else's content: it may know more by it.
    private func add(_ known: KnownLevels, to place: Place, _ organisation: Int64) throws(CatalogError) {
        let inSeries = PendingCounts.OrganisationKey(id: place.series, organisation: organisation)
        let inStudy = PendingCounts.OrganisationKey(id: place.study, organisation: organisation)
        if known.contains(.study) {
            if pending.studyOrganisations[inStudy] != nil {
                pending.studyOrganisations[inStudy]!.known.insert(.study)
            } else {
                try database.statement(
                    "UPDATE study_count SET known = known | 2 WHERE study = ? AND organisation = ?"
                ).run([.integer(place.study), .integer(organisation)])
            }
        }
        if known.contains(.series) {
            if pending.seriesOrganisations[inSeries] != nil {
                pending.seriesOrganisations[inSeries]!.known.insert(.series)
            } else {
                try database.statement(
                    "UPDATE series_count SET known = known | 4 WHERE series = ? AND organisation = ?"
                ).run([.integer(place.series), .integer(organisation)])
            }
            try add(.modality, place.modality, place, organisation, isKnown: true)
        }
        if known.contains(.instance) { try add(.sopClass, place.sopClassUID, place, organisation, isKnown: true) }
    }

    /// Who sends content that is known says with it what its first sender said: whose the study is, and under which name.
    /// - Returns: what the content knows.
    private func adopt(_ version: Int64, by organisation: Int64) throws(CatalogError) -> KnownLevels {
        let (known, link, name) = try database.statement(
            """
            SELECT v.known, e.study, v.patient, p.patient_name_folded FROM version v JOIN instance i ON i.id = v.instance
                JOIN series e ON e.id = i.series JOIN patient p ON p.id = v.patient WHERE v.id = ?
            """
        ).first([.integer(version)]) {
            (
                KnownLevels(rawValue: $0.integer(0)),
                CatalogCache.Link(study: $0.integer(1), patient: $0.integer(2), organisation: organisation), $0.text(3)
            )
        }!
        try add(link, known)
        if known.contains(.patient) { try addNames(name, link.patient, organisation) }
        return known
    }

    private func add(_ link: CatalogCache.Link, _ known: KnownLevels) throws(CatalogError) {
        let known = known.intersection(.patient)
        if let told = cache.links[link], told.isSuperset(of: known) { return }
        if cache.links.count > CatalogCache.maximum { cache.links.removeAll() }
        cache.links[link] = known.union(cache.links[link] ?? [])
        try database.statement(
            "INSERT INTO patient_source VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET known = known | excluded.known"
        ).run([
            .integer(link.study), .integer(link.patient), .integer(link.organisation), .integer(known.rawValue),
        ])
    }

    /// Whether the organisation has nothing in the series yet.
    private func isNewSeries(_ key: PendingCounts.OrganisationKey) throws(CatalogError) -> Bool {
        if cache.seriesOrganisations.count > CatalogCache.maximum { cache.seriesOrganisations.removeAll() }
        guard cache.seriesOrganisations.insert(key).inserted, pending.seriesOrganisations[key] == nil else {
            return false
        }
        return try database.statement("SELECT 1 FROM series_count WHERE series = ? AND organisation = ?")
            .first([.integer(key.id), .integer(key.organisation)]) { _ in true } == nil
    }

    /// Where an instance stands, for the counts.
    struct Place {
        let series: Int64
        let study: Int64
        let date: String?
        let modality: String
        let sopClassUID: String
        let isNewSeries: Bool
        var isNewStudy = false
    }

    func place(ofInstance id: Int64) throws(CatalogError) -> Place {
        try database.statement(
            """
            SELECT e.id, e.study, s.study_date, coalesce(e.modality, ''), i.sop_class_uid FROM instance i
                JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study WHERE i.id = ?
            """
        ).first([.integer(id)]) {
            Place(
                series: $0.integer(0), study: $0.integer(1), date: $0.text(2), modality: $0.text(3) ?? "",
                sopClassUID: $0.text(4) ?? "", isNewSeries: false)
        }!
    }
}

extension Database {
    /// How far the catalog has come; nil: nowhere.
    func position() throws(CatalogError) -> CatalogPosition? {
        try statement("SELECT sequence, writer, segment, end_offset FROM state").first([]) { row in
            row.integer(0) == 0
                ? nil
                : CatalogPosition(
                    sequence: UInt64(row.integer(0)), writer: UInt32(row.integer(1)), segment: UInt32(row.integer(2)),
                    endOffset: UInt64(row.integer(3)))
        } ?? nil
    }

    func blobLocation(_ blobID: [UInt8]) throws(CatalogError) -> (CatalogLocation, dataSetLength: UInt64)? {
        try statement("SELECT writer, segment, offset, length, data_set_length FROM version WHERE blob = ?")
            .first([.blob(blobID)]) { row in
                (
                    CatalogLocation(
                        writer: UInt32(row.integer(0)), segment: UInt32(row.integer(1)), offset: UInt64(row.integer(2)),
                        length: UInt64(row.integer(3))),
                    dataSetLength: UInt64(row.integer(4))
                )
            }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Database

/// Why an instance is not seen by everybody.
package struct HiddenReasons: OptionSet, Hashable, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }

    package static let deleted = HiddenReasons(rawValue: 1)
    package static let rejectedForQuality = HiddenReasons(rawValue: 2)
    package static let rejectedForPatientSafety = HiddenReasons(rawValue: 4)
    package static let incorrectWorklistEntry = HiddenReasons(rawValue: 8)
    package static let retentionExpired = HiddenReasons(rawValue: 16)
}

/// A tombstone record: what it names is seen no longer, as far as it had come before.
package struct CatalogTombstone: Equatable, Sendable {
    package var sequence: UInt64
    package var receivedAtNanoseconds: Int64
    package var source: CatalogSource
    /// `.study`, `.series` or `.instance`.
    package var level: CatalogLevel
    /// By level, from the study's down to that of `level`; nil: whatever it is.
    package var uids: [String?]
    /// That it hides, as they were counted then.
    package var instances: Int
    /// It is for what its own organisation sent; what others have sent under the same UIDs stays as it is.
    package var isOwnOnly: Bool

    package init(
        sequence: UInt64, receivedAtNanoseconds: Int64, source: CatalogSource, level: CatalogLevel, uids: [String?],
        instances: Int, isOwnOnly: Bool = false
    ) {
        precondition(uids.count == level.rawValue && uids.last! != nil, "a UID for each level, the last one given")
        self.sequence = sequence
        self.receivedAtNanoseconds = receivedAtNanoseconds
        self.source = source
        self.level = level
        self.uids = uids
        self.instances = instances
        self.isOwnOnly = isOwnOnly
    }
}

/// What a rejection note says (IHE IOCM): these instances are hidden for these reasons.
package struct CatalogRejection: Equatable, Sendable {
    package var reasons: HiddenReasons
    package var sopInstanceUIDs: [String]

    package init(reasons: HiddenReasons, sopInstanceUIDs: [String]) {
        self.reasons = reasons
        self.sopInstanceUIDs = sopInstanceUIDs
    }
}

/// Hiding and showing. An instance is hidden by rows of its own; series, study and patient while nothing in them is seen.
/// Counts and contents are of what everybody sees, and are computed anew for each series that something was hidden in:
/// that is rare, and cannot drift.
extension CatalogWriter {
    // MARK: Events

    func bury(_ tombstone: CatalogTombstone) throws(CatalogError) {
        let organisation = try organisationID(tombstone.source.organisation)
        var (source, values) = Self.instances(under: tombstone.uids)
        let withdrawn = tombstone.isOwnOnly ? try withdraw(tombstone, organisation) : []
        if tombstone.isOwnOnly {
            source += " AND EXISTS (SELECT 1 FROM version_source c WHERE c.instance = i.id AND c.organisation = ?)"
            values.append(.integer(organisation))
        }
        // What is deleted already stays under its first tombstone.
        try database.statement(
            """
            INSERT INTO hidden SELECT 3, i.id, ?, 1 FROM \(source) AND NOT EXISTS
                (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id AND h.reasons = 1)
            """
        ).run([.integer(Int64(tombstone.sequence))] + values)
        try database.statement(
            """
            INSERT INTO tombstone(sequence, level, uids, received_at, organisation, calling_ae_title, instances, is_own)
                VALUES(?, ?, ?, ?, ?, ?, ?, ?)
            """
        ).run([
            .integer(Int64(tombstone.sequence)), .integer(Int64(tombstone.level.rawValue)),
            .text(tombstone.uids.map { $0 ?? "" }.joined(separator: " ")),
            .integer(tombstone.receivedAtNanoseconds), .integer(organisation), .text(tombstone.source.callingAETitle),
            .integer(Int64(tombstone.instances)), .integer(tombstone.isOwnOnly ? 1 : 0),
        ])
        let cause = Int64(tombstone.sequence)
        let notes = try notes(among: cause)
        var series = try series(hiddenBy: cause).union(withdrawn)
        for note in notes { series.formUnion(try lift(note)) }
        try refresh(series)
    }

    /// Takes away what an organisation has of instances that others have sent, too: it sees them no longer, and nobody else is
    /// told.
    /// - Returns: the series in which that was.
    private func withdraw(_ tombstone: CatalogTombstone, _ organisation: Int64) throws(CatalogError) -> Set<Int64> {
        let (source, values) = Self.instances(under: tombstone.uids)
        try database.statement(
            """
            INSERT INTO withdrawn SELECT ?, z.instance, z.organisation, z.sequence, z.version FROM version_source z
                WHERE z.organisation = ? AND z.instance IN (SELECT i.id FROM \(source) AND NOT EXISTS
                    (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id AND h.reasons = 1))
                AND EXISTS (SELECT 1 FROM version_source c WHERE c.instance = z.instance AND c.organisation <> z.organisation)
            """
        ).run([.integer(Int64(tombstone.sequence)), .integer(organisation)] + values)
        try database.statement(
            """
            DELETE FROM version_source WHERE (instance, organisation, sequence) IN
                (SELECT instance, organisation, sequence FROM withdrawn WHERE tombstone = ?)
            """
        ).run([.integer(Int64(tombstone.sequence))])
        return try series(withdrawnBy: Int64(tombstone.sequence))
    }

    private func series(withdrawnBy cause: Int64) throws(CatalogError) -> Set<Int64> {
        Set(
            try ids(
                """
                SELECT DISTINCT i.series FROM withdrawn w CROSS JOIN instance i ON i.id = w.instance
                    WHERE w.tombstone = ?
                """, cause))
    }

    /// Gives back what was withdrawn, but what has come again since. What a later deletion holds of these instances stays
    /// its own.
    private func giveBack(_ cause: Int64) throws(CatalogError) -> Set<Int64> {
        var series = try series(withdrawnBy: cause)
        for instance in try ids("SELECT DISTINCT instance FROM withdrawn WHERE tombstone = ?", cause)
        where try setAside(instance) {
            series.formUnion(try apply(note: instance))
        }
        try database.statement(
            """
            INSERT INTO version_source SELECT w.instance, w.organisation, w.sequence, w.version FROM withdrawn w
                WHERE w.tombstone = ? AND NOT EXISTS (SELECT 1 FROM version_source c WHERE c.instance = w.instance
                    AND c.organisation = w.organisation AND c.version = w.version) ON CONFLICT DO NOTHING
            """
        ).run([.integer(cause)])
        try database.statement("DELETE FROM withdrawn WHERE tombstone = ?").run([.integer(cause)])
        return series
    }

    /// Tables and conditions that give the instances `i` under these UIDs, with their series `e` and study `s`.
    static func instances(under uids: [String?]) -> (sql: String, values: [Statement.Value]) {
        let columns = ["s.uid", "e.uid", "i.uid"]
        var conditions: [String] = []
        var values: [Statement.Value] = []
        for (column, uid) in zip(columns, uids) {
            guard let uid else { continue }
            conditions.append("\(column) = ?")
            values.append(.text(uid))
        }
        // From the table whose UID is given, so that the plan is the same however large each one is.
        let tables = [
            "study s CROSS JOIN series e ON e.study = s.id CROSS JOIN instance i ON i.series = e.id",
            "series e CROSS JOIN study s ON s.id = e.study CROSS JOIN instance i ON i.series = e.id",
            "instance i CROSS JOIN series e ON e.id = i.series CROSS JOIN study s ON s.id = e.study",
        ][uids.count - 1]
        return ("\(tables) WHERE \(conditions.joined(separator: " AND "))", values)
    }

    /// Nothing happens if it was taken back before, or is gone for good.
    func undelete(_ tombstone: UInt64) throws(CatalogError) {
        let cause = Int64(tombstone)
        guard try close(tombstone, state: 1) else { return }
        let notes = try notes(among: cause)
        var series = try series(hiddenBy: cause)
        series.formUnion(try giveBack(cause))
        try database.statement("DELETE FROM hidden WHERE level = 3 AND cause = ?").run([.integer(cause)])
        for note in notes { series.formUnion(try apply(note: note)) }
        try refresh(series)
    }

    /// Removes all rows of what a tombstone deleted; the places of its records become garbage.
    func purge(_ tombstone: UInt64) throws(CatalogError) {
        let cause = Int64(tombstone)
        guard try close(tombstone, state: 2) else { return }
        try writeCounts()
        try handOver(from: cause)
        let series = try series(hiddenBy: cause).union(try series(withdrawnBy: cause))
        var studies: Set<Int64> = []
        for id in series { studies.formUnion(try ids("SELECT study FROM series WHERE id = ?", id)) }
        let instances = "SELECT id FROM hidden WHERE level = 3 AND cause = ?1"
        // Of what is hidden all versions; of what was withdrawn those that nobody else has.
        let versions = """
            SELECT version FROM version_source WHERE instance IN (\(instances))
                UNION SELECT version FROM withdrawn w WHERE tombstone = ?1
                    AND NOT EXISTS (SELECT 1 FROM version_source c WHERE c.instance = w.instance AND c.version = w.version)
                    AND NOT EXISTS (SELECT 1 FROM withdrawn o WHERE o.instance = w.instance AND o.version = w.version
                        AND o.tombstone <> w.tombstone)
            """
        try database.statement(
            """
            INSERT INTO garbage SELECT writer, segment, offset, max(length, data_set_length), blob FROM version
                WHERE id IN (\(versions))
                ON CONFLICT DO NOTHING
            """
        ).run([.integer(cause)])
        let (count, bytes) = try database.statement(
            "SELECT count(*), coalesce(sum(data_set_length), 0) FROM version WHERE id IN (\(versions))"
        ).first([.integer(cause)]) { ($0.integer(0), $0.integer(1)) }!
        pending.totals.versions -= count
        pending.totals.storedBytes -= bytes
        for statement in [
            "DELETE FROM version_caller WHERE blob IN (SELECT blob FROM version WHERE id IN (\(versions)))",
            "DELETE FROM version WHERE id IN (\(versions))",
            // As if what is gone had never come.
            """
            UPDATE instance SET first_organisation = (SELECT v.organisation FROM
                    (SELECT version FROM version_source WHERE instance = instance.id
                        UNION SELECT version FROM withdrawn WHERE instance = instance.id) z
                    JOIN version v ON v.id = z.version ORDER BY v.sequence LIMIT 1)
                WHERE id IN (SELECT instance FROM withdrawn WHERE tombstone = ?1)
            """, "DELETE FROM withdrawn WHERE tombstone = ?1",
            "DELETE FROM version_source WHERE instance IN (\(instances))",
            "DELETE FROM rejection WHERE note IN (\(instances))", "DELETE FROM instance WHERE id IN (\(instances))",
            "DELETE FROM hidden WHERE level = 3 AND id IN (\(instances))",
        ] {
            try database.statement(statement).run([.integer(cause)])
        }
        var patients: Set<Int64> = []
        for id in studies.sorted() {
            try forgetSources(study: id)
            patients.formUnion(try forgetPatients(study: id))
        }
        // Before they may be removed, for what is removed counts no more.
        for id in patients.sorted() { try refresh(patient: id) }
        try removeEmpty(series)
        for id in patients.sorted() { try removeIfEmpty(patient: id) }
        try refresh(series)
        // What was damaged may have gone.
        for id in series.sorted() { try refreshDamage(series: id) }
        for id in studies.sorted() { try refreshDamage(study: id) }
    }

    /// Which version of something in a study is whose; what was withdrawn may be given back.
    private static let studySources = """
        SELECT c.version, c.organisation FROM series e JOIN instance i ON i.series = e.id
            JOIN version_source c ON c.instance = i.id WHERE e.study = ?1
        UNION SELECT w.version, w.organisation FROM series e JOIN instance i ON i.series = e.id
            JOIN withdrawn w ON w.instance = i.id WHERE e.study = ?1
        """

    /// Whose the study is, and under which name, is no longer said by who has nothing in it any more that says so.
    private func forgetSources(study id: Int64) throws(CatalogError) {
        var gone: [(patient: Int64, organisation: Int64)] = []
        try database.statement("DELETE FROM patient_source WHERE study = ? RETURNING patient, organisation")
            .forEach([.integer(id)]) { row throws(CatalogError) in
                gone.append((row.integer(0), row.integer(1)))
                return true
            }
        try database.statement(
            """
            INSERT INTO patient_source(study, patient, organisation, known)
                SELECT ?1, v.patient, z.organisation, max(v.known & \(KnownLevels.patient.rawValue)) FROM
                    (\(Self.studySources)) z
                    JOIN version v ON v.id = z.version GROUP BY v.patient, z.organisation
            """
        ).run([.integer(id)])
        for (patient, organisation) in gone {
            let left = try database.statement(
                """
                SELECT 1 FROM study_patient l JOIN patient_source q ON q.study = l.study AND q.patient = l.patient
                    WHERE l.patient = ? AND q.organisation = ?
                """
            ).first([.integer(patient), .integer(organisation)]) { _ in true }
            if left == nil { try removeNames(patient, organisation) }
        }
    }

    /// A study is no longer found under a patient whom only what is gone named. If it was that patient's, it is now the one's
    /// of the oldest version that is left. After `forgetSources`.
    /// - Returns: the patients that it was or is found under, if that has changed.
    private func forgetPatients(study id: Int64) throws(CatalogError) -> Set<Int64> {
        let left = Set(try ids("SELECT patient FROM patient_source WHERE study = ?", id))
        // Without anything left it goes as a whole.
        guard !left.isEmpty else { return [] }
        let gone = Set(try ids("SELECT patient FROM study_patient WHERE study = ?", id)).subtracting(left)
        for patient in gone.sorted() {
            try database.statement("DELETE FROM study_patient WHERE patient = ? AND study = ?").run([
                .integer(patient), .integer(id),
            ])
            try forget(
                words: "DELETE FROM study_word WHERE patient = ? AND study = ? RETURNING word",
                [.integer(patient), .integer(id)])
        }
        guard !gone.isEmpty else { return [] }
        if let owner = try ids("SELECT patient FROM study WHERE id = ?", id).first, gone.contains(owner) {
            try change(wordsOfStudy: id, by: Self.forgettingWords)
            try database.statement(
                """
                UPDATE study SET patient = (SELECT v.patient FROM
                    (\(Self.studySources)) z JOIN version v ON v.id = z.version ORDER BY v.sequence LIMIT 1) WHERE id = ?1
                """
            ).run([.integer(id)])
            try database.statement(Self.copyingPatient).run([.integer(id)])
            try change(wordsOfStudy: id, by: PendingWords.addingStudy)
        }
        if left.count == 1 {
            try database.statement("UPDATE study SET flags = flags & ~2 WHERE id = ?").run([.integer(id)])
        }
        return gone.union(left)
    }

    private static let copyingPatient: String = {
        let names = CatalogColumn.columns(of: .patient).map(\.sqlName).joined(separator: ", ")
        return "UPDATE study SET (\(names)) = (SELECT \(names) FROM patient WHERE id = study.patient) WHERE id = ?"
    }()

    private func removeNames(_ patient: Int64, _ organisation: Int64) throws(CatalogError) {
        try database.statement("DELETE FROM patient_name WHERE patient = ? AND organisation = ?").run([
            .integer(patient), .integer(organisation),
        ])
        try forget(
            words: """
                DELETE FROM study_word WHERE study IN (SELECT study FROM study_patient WHERE patient = ?1 UNION ALL SELECT 0)
                    AND patient = ?1 AND organisation = ?2 RETURNING word
                """, [.integer(patient), .integer(organisation)])
    }

    /// Takes words from studies; those that no other study has go altogether.
    private func forget(words deletion: StaticString, _ values: [Statement.Value]) throws(CatalogError) {
        try pendingWords.write(to: database)
        var words: Set<Int64> = []
        try database.statement(deletion).forEach(values) { row throws(CatalogError) in
            words.insert(row.integer(0))
            return true
        }
        for word in words.sorted() {
            let left = try database.statement("SELECT 1 FROM study_word WHERE word = ?").first([.integer(word)]) {
                _ in
                true
            }
            guard left == nil else { continue }
            try database.statement(
                """
                INSERT INTO name_word_trigram(name_word_trigram, rowid, word)
                    SELECT 'delete', id, word FROM name_word WHERE id = ?
                """
            ).run([.integer(word)])
            try database.statement("DELETE FROM name_word WHERE id = ?").run([.integer(word)])
        }
        // Numbers of words that are gone may be given again.
        cache.words = [:]
    }

    /// - Returns: false: there is no such tombstone, or it is closed.
    private func close(_ tombstone: UInt64, state: Int64) throws(CatalogError) -> Bool {
        try database.statement("UPDATE tombstone SET state = ? WHERE sequence = ? AND state = 0").run([
            .integer(state), .integer(Int64(tombstone)),
        ])
        return database.changes > 0
    }

    /// Content that comes again is there again: for who sends it, while what came before stays with the deletion that took
    /// it. So no arrival decides about what another one has brought: a record that was compacted away is missed by nothing
    /// else when the log is replayed. What a note rejects stays hidden; who sends it has no more of it than others.
    /// - Parameter arrive: adds the source.
    func arrive(at instance: Int64, _ arrive: () throws(CatalogError) -> Void) throws(CatalogError) {
        guard try hasRows("hidden") else { return try arrive() }
        let isHidden = try database.statement("SELECT 1 FROM hidden WHERE level = 3 AND id = ? LIMIT 1")
            .first([.integer(instance)]) { _ in true }
        guard isHidden != nil else { return try arrive() }
        let wasDeleted = try setAside(instance)
        try arrive()
        var series = wasDeleted ? try apply(note: instance) : []
        series.insert(try self.series(of: instance))
        try refresh(series)
    }

    /// Something of an instance is to be seen again, of which a tombstone has hidden all: what there was is withdrawn instead.
    /// - Returns: false: it was not hidden by one.
    private func setAside(_ instance: Int64) throws(CatalogError) -> Bool {
        let cause = try database.statement(
            "DELETE FROM hidden WHERE level = 3 AND id = ? AND reasons = 1 RETURNING cause"
        ).first([.integer(instance)]) { $0.integer(0) }
        guard let cause else { return false }
        try database.statement(
            """
            INSERT INTO withdrawn SELECT ?, instance, organisation, sequence, version FROM version_source WHERE instance = ?
            """
        ).run([.integer(cause), .integer(instance)])
        try database.statement("DELETE FROM version_source WHERE instance = ?").run([.integer(instance)])
        return true
    }

    /// What is for good by one tombstone may be held in part by another, whose grace is not over: that one hides what is left.
    private func handOver(from cause: Int64) throws(CatalogError) {
        var shared: [(instance: Int64, other: Int64)] = []
        try database.statement(
            """
            SELECT h.id, max(w.tombstone) FROM hidden h JOIN withdrawn w ON w.instance = h.id
                WHERE h.level = 3 AND h.cause = ? GROUP BY h.id
            """
        ).forEach([.integer(cause)]) { row throws(CatalogError) in
            shared.append((row.integer(0), row.integer(1)))
            return true
        }
        for (instance, other) in shared {
            _ = try setAside(instance)
            for statement in [
                """
                INSERT INTO version_source SELECT instance, organisation, sequence, version FROM withdrawn
                    WHERE tombstone = ?1 AND instance = ?2
                """, "DELETE FROM withdrawn WHERE tombstone = ?1 AND instance = ?2",
                "INSERT INTO hidden VALUES(3, ?2, ?1, 1)",
            ] as [StaticString] {
                try database.statement(statement).run([.integer(other), .integer(instance)])
            }
        }
    }

    /// Shows what a new instance stands in, and hides the instance if a note that came before names it.
    func place(new instance: Int64, _ uid: String, in series: CatalogCache.Series) throws(CatalogError) {
        var isAffected = false
        if try hasRows("rejection") {
            try database.statement(
                """
                INSERT INTO hidden SELECT 3, ?1, -note, reasons FROM rejection WHERE uid = ?2 AND NOT EXISTS
                    (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = note) ON CONFLICT DO NOTHING
                """
            ).run([.integer(instance), .text(uid)])
            isAffected = database.changes > 0
        }
        if !isAffected, try hasRows("hidden") {
            isAffected =
                try database.statement(
                    """
                    SELECT 1 FROM hidden WHERE level = 2 AND id = ?1 UNION ALL SELECT 1 FROM hidden WHERE level = 1 AND id = ?2
                        UNION ALL SELECT 1 FROM study_patient l JOIN hidden h ON h.level = 0 AND h.id = l.patient
                            WHERE l.study = ?2
                    """
                ).first([.integer(series.id), .integer(series.study.id)]) { _ in true } ?? false
        }
        if isAffected { try refresh([series.id]) }
    }

    // MARK: Rejection notes

    /// Takes in what a note says; it holds for what comes later, too.
    func add(_ rejection: CatalogRejection, note: Int64) throws(CatalogError) {
        for uid in rejection.sopInstanceUIDs {
            try database.statement("INSERT INTO rejection VALUES(?, ?, ?) ON CONFLICT DO NOTHING").run([
                .integer(note), .text(uid), .integer(rejection.reasons.rawValue),
            ])
        }
        try refresh(try apply(note: note))
    }

    /// - Returns: the series in which something is hidden now.
    private func apply(note: Int64) throws(CatalogError) -> Set<Int64> {
        guard try hasRows("rejection") else { return [] }
        try database.statement(
            """
            INSERT INTO hidden SELECT 3, i.id, ?1, r.reasons FROM rejection r JOIN instance i ON i.uid = r.uid
                WHERE r.note = ?2 AND i.id <> ?2 ON CONFLICT DO NOTHING
            """
        ).run([.integer(-note), .integer(note)])
        return try series(hiddenBy: -note)
    }

    private func lift(_ note: Int64) throws(CatalogError) -> Set<Int64> {
        let series = try series(hiddenBy: -note)
        try database.statement("DELETE FROM hidden WHERE level = 3 AND cause = ?").run([.integer(-note)])
        return series
    }

    /// The rejection notes among what a cause hides.
    private func notes(among cause: Int64) throws(CatalogError) -> [Int64] {
        guard try hasRows("rejection") else { return [] }
        return try ids(
            "SELECT DISTINCT note FROM rejection WHERE note IN (SELECT id FROM hidden WHERE level = 3 AND cause = ?)",
            cause)
    }

    // MARK: What follows

    private func hasRows(_ table: String) throws(CatalogError) -> Bool {
        try database.statement("SELECT 1 FROM \(table) LIMIT 1").first([]) { _ in true } ?? false
    }

    private func ids(_ sql: String, _ value: Int64) throws(CatalogError) -> [Int64] {
        var found: [Int64] = []
        try database.statement(sql).forEach([.integer(value)]) { row throws(CatalogError) in
            found.append(row.integer(0))
            return true
        }
        return found
    }

    func series(of instance: Int64) throws(CatalogError) -> Int64 {
        try database.statement("SELECT series FROM instance WHERE id = ?").first([.integer(instance)]) {
            $0.integer(0)
        }!
    }

    private func series(hiddenBy cause: Int64) throws(CatalogError) -> Set<Int64> {
        Set(
            try ids(
                """
                SELECT DISTINCT i.series FROM hidden h CROSS JOIN instance i ON i.id = h.id
                    WHERE h.level = 3 AND h.cause = ?
                """, cause))
    }

    /// Computes anew what is seen of these series, of their studies and of the studies' patients.
    private func refresh(_ series: Set<Int64>) throws(CatalogError) {
        guard !series.isEmpty else { return }
        try writeCounts()
        var studies: Set<Int64> = []
        for id in series.sorted() {
            let found = try database.statement("SELECT study FROM series WHERE id = ?").first([.integer(id)]) {
                $0.integer(0)
            }
            guard let study = found else { continue }
            studies.insert(study)
            try refresh(series: id)
        }
        var patients: Set<Int64> = []
        for id in studies.sorted() {
            try refresh(study: id)
            patients.formUnion(try ids("SELECT patient FROM study_patient WHERE study = ?", id))
        }
        for id in patients.sorted() { try refresh(patient: id) }
        // What is remembered speaks of rows that may have gone.
        cache = CatalogCache()
    }

    private struct Seen {
        var studies: Int64 = 0
        var series: Int64 = 0
        var instances: Int64 = 0
        var first: Statement.Value = .null
    }

    private func seen(_ sql: StaticString, _ id: Int64) throws(CatalogError) -> Seen {
        try database.statement(sql).first([.integer(id)]) { row in
            Seen(
                studies: row.integer(0), series: row.integer(1), instances: row.integer(2),
                first: row.isNull(3) ? .null : .integer(row.integer(3)))
        }!
    }

    private func refresh(series id: Int64) throws(CatalogError) {
        let seen = try seen(
            """
            SELECT 0, 0, count(*), min(i.id) FROM instance i WHERE i.series = ? AND NOT EXISTS
                (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id)
            """, id)
        let before = try database.statement("SELECT instances FROM series WHERE id = ?").first([.integer(id)]) {
            $0.integer(0)
        }!
        let isSeen = seen.instances > 0
        pending.totals.instances += seen.instances - before
        pending.totals.series += try setHidden(
            .series, id,
            isSeen
                ? nil
                : """
                SELECT DISTINCT reasons FROM (SELECT max(h.reasons & 1) | max(h.reasons & 2) | max(h.reasons & 4)
                    | max(h.reasons & 8) | max(h.reasons & 16) AS reasons
                    FROM instance i JOIN hidden h ON h.level = 3 AND h.id = i.id WHERE i.series = ?1 GROUP BY i.id)
                """)
        try database.statement("UPDATE series SET instances = ?, first_instance = ? WHERE id = ?").run([
            .integer(seen.instances), seen.first, .integer(id),
        ])
        try database.statement("DELETE FROM series_count WHERE series = ?").run([.integer(id)])
        guard isSeen else { return }
        try database.statement(
            """
            INSERT INTO series_count SELECT ?1, c.organisation, count(DISTINCT i.id), max(v.known & 4) FROM instance i
                JOIN version_source c ON c.instance = i.id JOIN version v ON v.id = c.version
                WHERE i.series = ?1 AND NOT EXISTS
                    (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id) GROUP BY c.organisation
            """
        ).run([.integer(id)])
    }

    private func refresh(study id: Int64) throws(CatalogError) {
        let seen = try seen(
            """
            SELECT 0, count(*), coalesce(sum(instances), 0), min(first_instance) FROM series
                WHERE study = ? AND instances > 0
            """, id)
        pending.totals.studies += try setHidden(
            .study, id,
            seen.instances > 0
                ? nil
                : "SELECT DISTINCT h.reasons FROM series x JOIN hidden h ON h.level = 2 AND h.id = x.id WHERE x.study = ?1"
        )
        try database.statement(
            """
            UPDATE study SET series = ?, instances = ?, first_instance = ?, modalities = NULL, sop_classes = NULL
                WHERE id = ?
            """
        ).run([.integer(seen.series), .integer(seen.instances), seen.first, .integer(id)])
        try database.statement("DELETE FROM study_count WHERE study = ?").run([.integer(id)])
        try database.statement("DELETE FROM study_content WHERE study = ?").run([.integer(id)])
        guard seen.instances > 0 else { return }
        try database.statement(
            """
            INSERT INTO study_count(study, organisation, series, instances, known, date)
                SELECT ?1, c.organisation, count(DISTINCT e.id), count(DISTINCT i.id), max(v.known & 2),
                    (SELECT study_date FROM study WHERE id = ?1)
                FROM series e JOIN instance i ON i.series = e.id JOIN version_source c ON c.instance = i.id
                JOIN version v ON v.id = c.version WHERE e.study = ?1 AND NOT EXISTS
                    (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id) GROUP BY c.organisation
            """
        ).run([.integer(id)])
        try refreshContent(study: id)
    }

    private func refreshContent(study id: Int64) throws(CatalogError) {
        let modalities = """
            SELECT organisation, modality AS value, known & 4 AS known FROM series JOIN series_count ON series = id
                WHERE study = ?1
            """
        let classes = """
            SELECT c.organisation, i.sop_class_uid AS value, v.known & 8 AS known
                FROM series e JOIN instance i ON i.series = e.id
                JOIN version_source c ON c.instance = i.id JOIN version v ON v.id = c.version
                WHERE e.study = ?1 AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id)
            """
        for (kind, rows) in [(StudyContents.modality, modalities), (.sopClass, classes)] {
            for (organisation, condition) in [("organisation", "AND known <> 0"), ("0", "")] {
                try database.statement(
                    """
                    INSERT INTO study_content SELECT DISTINCT ?1, \(organisation), \(kind.rawValue), value,
                        (SELECT study_date FROM study WHERE id = ?1) FROM (\(rows)) WHERE value <> '' \(condition)
                    """
                ).run([.integer(id)])
            }
            try kind.tell(study: id, in: database)
        }
    }

    private func refresh(patient id: Int64) throws(CatalogError) {
        let seen = try seen(
            """
            SELECT (SELECT count(*) FROM study_patient l JOIN study s ON s.id = l.study
                    WHERE l.patient = ?1 AND s.instances > 0),
                coalesce(sum(series), 0), coalesce(sum(instances), 0), min(first_instance) FROM study WHERE patient = ?1
                    AND id IN (SELECT study FROM study_patient WHERE patient = ?1)
            """, id)
        pending.totals.patients += try setHidden(
            .patient, id,
            seen.studies > 0
                ? nil
                : """
                SELECT DISTINCT h.reasons FROM study_patient l JOIN hidden h ON h.level = 1 AND h.id = l.study
                    WHERE l.patient = ?1
                """)
        try database.statement(
            "UPDATE patient SET studies = ?, series = ?, instances = ?, first_instance = ? WHERE id = ?"
        ).run([
            .integer(seen.studies), .integer(seen.series), .integer(seen.instances), seen.first, .integer(id),
        ])
    }

    /// - Parameter reasons: gives the sets of reasons that hide what is in `?1`; nil: it is seen.
    /// - Returns: how the number of those that are seen changes.
    private func setHidden(_ level: CatalogLevel, _ id: Int64, _ reasons: String?) throws(CatalogError) -> Int64 {
        try database.statement("DELETE FROM hidden WHERE level = ? AND id = ?").run([
            .integer(Int64(level.rawValue)), .integer(id),
        ])
        let wasHidden = database.changes > 0
        if let reasons {
            try database.statement(
                "INSERT INTO hidden SELECT \(level.rawValue), ?1, reasons, reasons FROM (\(reasons))"
            )
            .run([.integer(id)])
        }
        return (wasHidden ? 1 : 0) - (reasons != nil ? 1 : 0)
    }

    // MARK: Removing for good

    /// Removes series, studies and patients that have nothing any more: they were hidden, so no count changes.
    private func removeEmpty(_ series: Set<Int64>) throws(CatalogError) {
        var studies: Set<Int64> = []
        for id in series.sorted() {
            let left = try database.statement("SELECT 1 FROM instance WHERE series = ?").first([.integer(id)]) { _ in
                true
            }
            guard left == nil else { continue }
            studies.formUnion(try ids("SELECT study FROM series WHERE id = ?", id))
            for table in ["series_count", "series_request"] {
                try database.statement("DELETE FROM \(table) WHERE series = ?").run([.integer(id)])
            }
            try remove(.series, id)
        }
        for id in studies.sorted() {
            let left = try database.statement("SELECT 1 FROM series WHERE study = ?").first([.integer(id)]) { _ in true
            }
            if left == nil { try removeStudy(id) }
        }
    }

    private func removeStudy(_ id: Int64) throws(CatalogError) {
        let patients = try ids("SELECT patient FROM study_patient WHERE study = ?", id)
        try change(wordsOfStudy: id, by: Self.forgettingWords)
        try forget(words: "DELETE FROM study_word WHERE study = ? RETURNING word", [.integer(id)])
        for table in ["study_content", "study_count", "study_patient", "patient_source"] {
            try database.statement("DELETE FROM \(table) WHERE study = ?").run([.integer(id)])
        }
        try remove(.study, id)
        for patient in patients { try removeIfEmpty(patient: patient) }
    }

    /// An index without the texts is told what they were.
    private static let forgettingWords: StaticString =
        "INSERT INTO study_gram(study_gram, rowid, words) VALUES('delete', ?, ?)"

    private func change(wordsOfStudy id: Int64, by statement: StaticString) throws(CatalogError) {
        try pendingWords.write(to: database)
        let texts = try database.statement(StudyField.texts).first([.integer(id)]) { StudyField.texts($0) }!
        try database.statement(statement).run([.integer(id), .text(StudyField.words(of: texts))])
    }

    private func removeIfEmpty(patient id: Int64) throws(CatalogError) {
        let left = try database.statement("SELECT 1 FROM study_patient WHERE patient = ?").first([.integer(id)]) { _ in
            true
        }
        guard left == nil else { return }
        try database.statement("DELETE FROM patient_name WHERE patient = ?").run([.integer(id)])
        try forget(words: "DELETE FROM study_word WHERE study = 0 AND patient = ? RETURNING word", [.integer(id)])
        try remove(.patient, id)
    }

    private func remove(_ level: CatalogLevel, _ id: Int64) throws(CatalogError) {
        try database.statement("DELETE FROM hidden WHERE level = ? AND id = ?").run([
            .integer(Int64(level.rawValue)), .integer(id),
        ])
        try database.statement("DELETE FROM \(level.table) WHERE id = ?").run([.integer(id)])
    }
}

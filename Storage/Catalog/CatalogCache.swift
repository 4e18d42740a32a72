// SPDX-License-Identifier: Apache-2.0
import Database

/// What the writer remembers between instances: a study's images come one after the other, so most need no look-up. Each
/// table is emptied when it is full; what is written never depends on what is remembered.
struct CatalogCache {
    static let maximum = 4096

    /// A text by its bytes, for SQLite compares these: to Swift a letter is the same however it is encoded.
    struct ExactText: Hashable {
        let text: String

        init(_ text: String) { self.text = text }

        static func == (left: Self, right: Self) -> Bool {
            left.text.utf8.elementsEqual(right.text.utf8)
        }
    }

    struct PatientKey: Hashable {
        let id: ExactText
        let issuer: ExactText
        let nameless: ExactText
    }

    struct Patient {
        let id: Int64
        let key: PatientKey
        /// Of `CatalogLevel.valueColumns`.
        let values: [String?]

        /// Its attributes in the order of their columns, of which those of the key come first.
        var row: [String?] { [key.id.text, key.issuer.text] + values }
    }

    /// That an organisation says whose a study is.
    struct Link: Hashable {
        let study: Int64
        let patient: Int64
        let organisation: Int64
    }

    struct Study {
        let id: Int64
        let patient: Int64
        let date: String?
        /// Of `CatalogLevel.valueColumns`.
        let values: [String?]
        /// Not in the catalog before this instance.
        var isNew = false

        var known: Study { Study(id: id, patient: patient, date: date, values: values) }
    }

    struct SeriesKey: Hashable {
        let uid: ExactText
        let study: Int64
    }

    struct Series {
        let id: Int64
        let study: Study
        let modality: String
        let values: [String?]
        /// Not in the catalog before this instance.
        var isNew = false
        var isOfNewStudy = false
    }

    struct Content: Hashable {
        let study: Int64
        let organisation: Int64
        let kind: StudyContents
        let value: ExactText
    }

    var organisations: [String: Int64] = [:]
    var patients: [PatientKey: Patient] = [:]
    var names: Set<[UInt8]> = []
    var words: [[UInt8]: Int64] = [:]
    var studies: [ExactText: Study] = [:]
    var series: [SeriesKey: Series] = [:]
    var requests: Set<[ExactText]> = []
    /// Series in which an organisation is known to have instances.
    var seriesOrganisations: Set<PendingCounts.OrganisationKey> = []
    var contents: Set<Content> = []
    var links: [Link: KnownLevels] = [:]
}

/// What a transaction adds to the maintained counts: gathered, and written once for each row.
struct PendingCounts {
    struct Count {
        var studies: Int64 = 0
        var series: Int64 = 0
        var instances: Int64 = 0
        var firstInstance: Int64?
        var known: KnownLevels = []
        /// Of a study.
        var date: String?
    }

    struct OrganisationKey: Hashable {
        let id: Int64
        let organisation: Int64
    }

    var patients: [Int64: Count] = [:]
    var studies: [Int64: Count] = [:]
    var series: [Int64: Count] = [:]
    var studyOrganisations: [OrganisationKey: Count] = [:]
    var seriesOrganisations: [OrganisationKey: Count] = [:]
    var totals = Totals()
    /// How far the transaction has come in the log; nil: no further than the last.
    var position: CatalogPosition?

    struct Totals {
        var sightings: Int64 = 0
        var storedBytes: Int64 = 0
        var savedBytes: Int64 = 0
        var patients: Int64 = 0
        var studies: Int64 = 0
        var series: Int64 = 0
        var instances: Int64 = 0
        var versions: Int64 = 0
    }

    /// Writes everything, in an order that does not depend on hashing, and is empty again.
    mutating func write(to database: Database) throws(CatalogError) {
        for (id, count) in patients.sorted(by: { $0.key < $1.key }) {
            try database.statement(
                """
                UPDATE patient SET studies = studies + ?, series = series + ?, instances = instances + ?,
                    first_instance = coalesce(first_instance, ?) WHERE id = ?
                """
            ).run([
                .integer(count.studies), .integer(count.series), .integer(count.instances), first(count), .integer(id),
            ])
        }
        for (id, count) in studies.sorted(by: { $0.key < $1.key }) {
            try database.statement(
                """
                UPDATE study SET series = series + ?, instances = instances + ?,
                    first_instance = coalesce(first_instance, ?) WHERE id = ?
                """
            ).run([.integer(count.series), .integer(count.instances), first(count), .integer(id)])
        }
        for (id, count) in series.sorted(by: { $0.key < $1.key }) {
            try database.statement(
                "UPDATE series SET instances = instances + ?, first_instance = coalesce(first_instance, ?) WHERE id = ?"
            ).run([.integer(count.instances), first(count), .integer(id)])
        }
        try writeOrganisations(to: database)
        try writeState(to: database)
        self = PendingCounts()
    }

    private func writeState(to database: Database) throws(CatalogError) {
        let place: [Statement.Value] =
            position.map {
                [
                    .integer(Int64($0.sequence)), .integer(Int64($0.writer)), .integer(Int64($0.segment)),
                    .integer(Int64($0.endOffset)),
                ]
            } ?? [.null, .null, .null, .null]
        try database.statement(
            """
            UPDATE state SET sequence = coalesce(?, sequence), writer = coalesce(?, writer),
                segment = coalesce(?, segment), end_offset = coalesce(?, end_offset), sightings = sightings + ?,
                stored_bytes = stored_bytes + ?, saved_bytes = saved_bytes + ?, patients = patients + ?,
                studies = studies + ?, series = series + ?, instances = instances + ?, versions = versions + ?
            """
        ).run(
            place + [
                .integer(totals.sightings), .integer(totals.storedBytes), .integer(totals.savedBytes),
                .integer(totals.patients), .integer(totals.studies), .integer(totals.series),
                .integer(totals.instances), .integer(totals.versions),
            ])
    }

    private func writeOrganisations(to database: Database) throws(CatalogError) {
        func ordered(_ counts: [OrganisationKey: Count]) -> [(key: OrganisationKey, value: Count)] {
            counts.sorted { ($0.key.id, $0.key.organisation) < ($1.key.id, $1.key.organisation) }
        }
        for (key, count) in ordered(studyOrganisations) {
            try database.statement(
                """
                INSERT INTO study_count(study, organisation, series, instances, known, date) VALUES(?, ?, ?, ?, ?, ?)
                    ON CONFLICT DO UPDATE SET series = series + excluded.series,
                        instances = instances + excluded.instances, known = known | excluded.known
                """
            ).run([
                .integer(key.id), .integer(key.organisation), .integer(count.series), .integer(count.instances),
                .integer(count.known.rawValue), .init(count.date),
            ])
        }
        for (key, count) in ordered(seriesOrganisations) {
            try database.statement(
                """
                INSERT INTO series_count VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET
                    instances = instances + excluded.instances, known = known | excluded.known
                """
            ).run([
                .integer(key.id), .integer(key.organisation), .integer(count.instances),
                .integer(count.known.rawValue),
            ])
        }
    }

    private func first(_ count: Count) -> Statement.Value { count.firstInstance.map { .integer($0) } ?? .null }
}

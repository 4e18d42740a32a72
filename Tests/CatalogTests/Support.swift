// SPDX-License-Identifier: Apache-2.0
import CSQLite
import Foundation

@testable import Catalog

/// A catalog in a folder of its own, removed with it.
final class TestCatalog {
    let folder: String
    let path: String
    let writer: CatalogWriter
    private(set) var sequence: UInt64 = 0

    /// - Parameter nameKey: of words, for fuzzy matching.
    init(nameKey: @escaping @Sendable (String) -> String = { _ in "" }) throws {
        folder = "\(NSTemporaryDirectory())snimok-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        path = "\(folder)/catalog.db"
        writer = try CatalogWriter(path: path, nameKey: nameKey)
    }

    deinit {
        writer.close()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Applies instances as one batch, numbered in their order.
    func add(_ instances: CatalogInstance...) throws { try apply(instances.map { .instance($0) }) }

    /// Applies events as one batch, numbered in their order.
    func apply(_ events: [CatalogEvent]) throws {
        let numbered = events.map { event in
            sequence += 1
            return event.numbered(sequence)
        }
        try applyAsNumbered(numbered)
    }

    func applyAsNumbered(_ events: [CatalogEvent]) throws {
        let last = events.last!.sequence
        try writer.apply(
            events, position: CatalogPosition(sequence: last, writer: 1, segment: 1, endOffset: (last + 1) * 4096))
    }

    func reader() throws -> CatalogReader { try CatalogReader(path: path) }

    func rows(_ query: CatalogQuery) throws -> [CatalogRow] {
        var rows: [CatalogRow] = []
        try CatalogReaders(path: path).find(query) { row in
            rows.append(row)
            return true
        }
        return rows
    }

    /// The unique keys of the rows that match.
    func find(
        _ level: CatalogLevel, _ conditions: (CatalogColumn, CatalogMatch)..., organisation: String = "A"
    ) throws -> [String] {
        var query = CatalogQuery(level: level, scope: .everything(as: organisation))
        query.conditions = conditions.map { CatalogCondition(column: $0.0, match: $0.1) }
        return try keys(query)
    }

    func keys(_ query: CatalogQuery) throws -> [String] {
        let column: CatalogColumn =
            [.patientID, .studyInstanceUID, .seriesInstanceUID, .sopInstanceUID][query.level.rawValue]
        return try rows(query).map { $0[column] ?? "" }
    }

    /// Every row of every table, as text.
    func dump() throws -> [String] { try Self.dump(path) }

    private static func dump(_ path: String) throws -> [String] {
        // How full-text indexes lie in their own tables hangs on the transactions; which text has which gram does not.
        let tables = try select(
            path, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%gram%' ORDER BY name")
        let rows = try tables.flatMap { table in
            try select(path, "SELECT * FROM \"\(table)\"").map { "\(table): \($0)" }.sorted()
        }
        return try rows
            + ["name_word_trigram", "study_gram"].flatMap { index in
                try select(
                    path, "SELECT term, doc FROM terms ORDER BY term, doc",
                    after: "CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, \(index), instance)"
                ).map { "\(index): \($0)" }
            }
    }

    /// Maintained counts and contents that are not what a recount of everything that is seen gives.
    func miscounted() throws -> [String] {
        try Recount.queries.flatMap { name, sql in try select(sql).map { "\(name): \($0)" } } + misplacedWords()
    }

    /// Words of names that stand where none of a patient's names has them, or are missing.
    private func misplacedWords() throws -> [String] {
        func rows(_ sql: String) throws -> [[String]] {
            try select(sql).map { $0.split(separator: "|", omittingEmptySubsequences: false).map(String.init) }
        }
        let links = Dictionary(grouping: try rows("SELECT patient, study FROM study_patient")) { $0[0] }
        var expected: Set<String> = []
        for name in try rows("SELECT patient, organisation, is_further, hex(folded) FROM patient_name") {
            let text = String(
                decoding: stride(from: 0, to: name[3].count, by: 2).map { offset in
                    let start = name[3].index(name[3].startIndex, offsetBy: offset)
                    return UInt8(name[3][start...].prefix(2), radix: 16)!
                }, as: UTF8.self)
            for study in name[2] == "1" ? ["0"] : (links[name[0]] ?? []).map({ $0[1] }) {
                for word in NameWords.split(text) {
                    expected.insert(([name[0], name[1], study] + word.utf8.map(String.init)).joined(separator: " "))
                }
            }
        }
        let stored = try rows(
            "SELECT w.patient, w.organisation, w.study, hex(v.word) FROM study_word w JOIN name_word v ON v.id = w.word"
        )
        let found = Set(
            stored.map { row in
                let bytes = stride(from: 0, to: row[3].count, by: 2).map { offset in
                    let start = row[3].index(row[3].startIndex, offsetBy: offset)
                    return String(UInt8(row[3][start...].prefix(2), radix: 16)!)
                }
                return (Array(row[..<3]) + bytes).joined(separator: " ")
            })
        let unused = try select("SELECT word FROM name_word WHERE id NOT IN (SELECT word FROM study_word)")
        return found.symmetricDifference(expected).sorted().map { "word: \($0)" } + unused.map { "unused word: \($0)" }
    }

    func select(_ sql: String) throws -> [String] { try Self.select(path, sql) }

    private static func select(_ path: String, _ sql: String, after preparation: String = "") throws -> [String] {
        var handle: OpaquePointer?
        guard sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, nil) == SQLITE_OK else { throw Failure() }
        defer { sqlite3_close_v2(handle) }
        guard sqlite3_exec(handle, preparation, nil, nil, nil) == SQLITE_OK else {
            throw Failure(what: String(cString: sqlite3_errmsg(handle)))
        }
        var statement: OpaquePointer?
        guard sqlite3_prepare_v2(handle, sql, -1, &statement, nil) == SQLITE_OK else {
            throw Failure(what: String(cString: sqlite3_errmsg(handle)))
        }
        defer { sqlite3_finalize(statement) }
        var rows: [String] = []
        while sqlite3_step(statement) == SQLITE_ROW {
            rows.append((0..<sqlite3_column_count(statement)).map { text(statement, $0) }.joined(separator: "|"))
        }
        return rows
    }

    private static func text(_ statement: OpaquePointer?, _ column: Int32) -> String {
        guard let bytes = sqlite3_column_blob(statement, column) else { return "NULL" }
        let count = Int(sqlite3_column_bytes(statement, column))
        return String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
    }

    struct Failure: Error { var what = "" }
}

/// Queries that give rows where something is counted wrong.
private enum Recount {
    private static let seen = "NOT EXISTS (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id)"
    private static let instances = "instance i JOIN series e ON e.id = i.series"

    static let queries: [(String, String)] = columns + totals + hidden + organisations

    private static let columns: [(String, String)] = [
        ("series", "instances", "SELECT count(*) FROM instance i WHERE i.series = t.id AND \(seen)"),
        ("series", "first_instance", "SELECT min(i.id) FROM instance i WHERE i.series = t.id AND \(seen)"),
        ("study", "series", "SELECT count(DISTINCT e.id) FROM \(instances) WHERE e.study = t.id AND \(seen)"),
        ("study", "instances", "SELECT count(*) FROM \(instances) WHERE e.study = t.id AND \(seen)"),
        ("study", "first_instance", "SELECT min(i.id) FROM \(instances) WHERE e.study = t.id AND \(seen)"),
        (
            "patient", "studies",
            "SELECT count(*) FROM study_patient l JOIN study s ON s.id = l.study WHERE l.patient = t.id AND s.instances > 0"
        ),
        ("patient", "series", "SELECT coalesce(sum(series), 0) FROM study WHERE patient = t.id"),
        ("patient", "instances", "SELECT coalesce(sum(instances), 0) FROM study WHERE patient = t.id"),
        ("patient", "first_instance", "SELECT min(first_instance) FROM study WHERE patient = t.id"),
        ("study", "modalities", contents(kind: 1)), ("study", "sop_classes", contents(kind: 2)),
        ("study", "patient_id", own("patient_id")), ("study", "issuer", own("issuer")),
        ("study", "patient_name", own("patient_name")), ("study", "patient_sex", own("patient_sex")),
        ("study", "patient_birth_date", own("patient_birth_date")),
    ].map { table, column, count in
        ("\(table).\(column)", "SELECT t.id, t.\(column), (\(count)) AS n FROM \(table) t WHERE t.\(column) IS NOT n")
    }

    private static func own(_ column: String) -> String { "SELECT p.\(column) FROM patient p WHERE p.id = t.patient" }

    private static func contents(kind: Int) -> String {
        """
        SELECT group_concat(value, '\\') FROM
            (SELECT value FROM study_content WHERE study = t.id AND organisation = 0 AND kind = \(kind) ORDER BY value)
        """
    }

    private static let totals: [(String, String)] = [
        ("patients", "SELECT count(*) FROM patient WHERE studies > 0"),
        ("studies", "SELECT count(*) FROM study WHERE instances > 0"),
        ("series", "SELECT count(*) FROM series WHERE instances > 0"),
        ("instances", "SELECT count(*) FROM instance i WHERE \(seen)"), ("versions", "SELECT count(*) FROM version"),
        ("stored_bytes", "SELECT coalesce(sum(data_set_length), 0) FROM version"),
    ].map { column, count in
        ("state.\(column)", "SELECT \(column), (\(count)) AS n FROM state WHERE \(column) IS NOT n")
    }

    /// What holds nothing that is seen has rows of its own that say so, and nothing else has.
    private static let hidden: [(String, String)] = [
        (0, "patient", "studies"), (1, "study", "instances"), (2, "series", "instances"),
    ]
    .map { level, table, column in
        (
            "hidden \(table)",
            """
            SELECT id FROM \(table) t WHERE (t.\(column) = 0) <>
                EXISTS (SELECT 1 FROM hidden h WHERE h.level = \(level) AND h.id = t.id)
            """
        )
    }

    private static let organisations: [(String, String)] = {
        let sources =
            "version_source v JOIN instance i ON i.id = v.instance JOIN series e ON e.id = i.series WHERE \(seen)"
        // Of its own an organisation has the values that it has sent itself.
        let known = "EXISTS (SELECT 1 FROM version w WHERE w.id = v.version AND w.known &"
        let contents = [
            "SELECT e.study, v.organisation, 1, e.modality FROM \(sources) AND e.modality <> '' AND \(known) 4 <> 0)",
            "SELECT e.study, 0, 1, e.modality FROM \(sources) AND e.modality <> ''",
            "SELECT e.study, v.organisation, 2, i.sop_class_uid FROM \(sources) AND i.sop_class_uid <> '' AND \(known) 8 <> 0)",
            "SELECT e.study, 0, 2, i.sop_class_uid FROM \(sources) AND i.sop_class_uid <> ''",
        ].joined(separator: " UNION ")
        return [
            (
                "study_count", "study, organisation, series, instances, known, date",
                """
                SELECT e.study, v.organisation, count(DISTINCT e.id), count(DISTINCT i.id),
                    max((SELECT w.known & 2 FROM version w WHERE w.id = v.version)),
                    (SELECT study_date FROM study WHERE id = e.study) FROM \(sources) GROUP BY e.study, v.organisation
                """
            ),
            (
                "series_count", "series, organisation, instances, known",
                """
                SELECT e.id, v.organisation, count(DISTINCT i.id),
                    max((SELECT w.known & 4 FROM version w WHERE w.id = v.version)) FROM \(sources)
                    GROUP BY e.id, v.organisation
                """
            ),
            ("study_content", "study, organisation, kind, value", contents),
        ].flatMap { table, columns, expected in
            [
                ("\(table) lacks", "SELECT * FROM (\(expected)) EXCEPT SELECT \(columns) FROM \(table)"),
                ("\(table) has", "SELECT \(columns) FROM \(table) EXCEPT SELECT * FROM (\(expected))"),
            ]
        }
    }()
}

extension CatalogEvent {
    func numbered(_ sequence: UInt64) -> CatalogEvent {
        switch self {
        case .instance(var instance):
            instance.sequence = sequence
            instance.location.offset = sequence * 4096
            return .instance(instance)
        case .sighting(var sighting):
            sighting.sequence = sequence
            return .sighting(sighting)
        case .tombstone(var tombstone):
            tombstone.sequence = sequence
            return .tombstone(tombstone)
        case .undelete(_, let tombstone): return .undelete(sequence: sequence, tombstone: tombstone)
        case .purge(_, let tombstone): return .purge(sequence: sequence, tombstone: tombstone)
        case .damaged(_, let blobID): return .damaged(sequence: sequence, blobID: blobID)
        case .setting(_, let name, let value): return .setting(sequence: sequence, name: name, value: value)
        case .other: return .other(sequence: sequence)
        }
    }
}

enum Samples {
    static func source(_ organisation: String) -> CatalogSource {
        CatalogSource(
            organisation: organisation, issuer: "", callingAETitle: "AE-\(organisation)", calledAETitle: "SNIMOK",
            peerAddress: "10.0.0.1", route: "dimse")
    }

    /// An instance "1.STUDY.SERIES.NUMBER"; its content follows from its UID and `content`. A value "" is left out.
    static func instance(
        _ study: Int, _ series: Int, _ number: Int, organisation: String = "A", content: Int = 0,
        _ values: [CatalogColumn: String] = [:], requests: [CatalogRequest] = []
    ) -> CatalogInstance {
        var all: [CatalogColumn: String] = [
            .patientID: "P\(study)", .patientName: "Name\(study)^Given", .patientBirthDate: "19700101",
            .studyInstanceUID: "1.\(study)", .studyDate: "20260105", .studyTime: "101500",
            .accessionNumber: "A\(study)",
            .seriesInstanceUID: "1.\(study).\(series)", .modality: "CT", .seriesNumber: "\(series)",
            .sopInstanceUID: "1.\(study).\(series).\(number)", .sopClassUID: "1.2.840.10008.5.1.4.1.1.2",
            .instanceNumber: "\(number)",
        ]
        all.merge(values) { $1 }
        var columns = [String?](repeating: nil, count: CatalogColumn.allCases.count)
        var folded = columns
        for (column, value) in all where !value.isEmpty {
            columns[column.rawValue] = value
            if column.kind == .personName { folded[column.rawValue] = value.uppercased() }
        }
        return CatalogInstance(
            sequence: 0, receivedAtNanoseconds: 1, source: source(organisation),
            blobID: blobID("\(all[.sopInstanceUID]!)/\(content)"),
            location: CatalogLocation(writer: 1, segment: 1, offset: 0, length: 4096), dataSetLength: 1000,
            transferSyntaxUID: "1.2.840.10008.1.2.1", flags: 0, values: columns, folded: folded, requests: requests)
    }

    static func tombstone(
        _ level: CatalogLevel, _ uid: String, study: String? = nil, organisation: String = "A", instances: Int = 0,
        at time: Int64 = 1, isOwnOnly: Bool = false
    ) -> CatalogEvent {
        .tombstone(
            CatalogTombstone(
                sequence: 0, receivedAtNanoseconds: time, source: source(organisation), level: level,
                uids: uids(level, uid, study: study), instances: instances, isOwnOnly: isOwnOnly))
    }

    /// As a tombstone names them: by level, from the study's down.
    static func uids(_ level: CatalogLevel, _ uid: String, study: String? = nil) -> [String?] {
        var uids = [String?](repeating: nil, count: level.rawValue)
        uids[0] = study
        uids[level.rawValue - 1] = uid
        return uids
    }

    static func undelete(_ tombstone: UInt64) -> CatalogEvent { .undelete(sequence: 0, tombstone: tombstone) }
    static func purge(_ tombstone: UInt64) -> CatalogEvent { .purge(sequence: 0, tombstone: tombstone) }

    /// A rejection note in study 1, series 90.
    static func note(
        _ number: Int, _ rejected: [String], reasons: HiddenReasons = .rejectedForQuality
    ) -> CatalogEvent { .instance(noteInstance(number, rejected, reasons: reasons)) }

    static func noteInstance(
        _ number: Int, _ rejected: [String], reasons: HiddenReasons = .rejectedForQuality
    ) -> CatalogInstance {
        var note = instance(
            1, 90, number, [.modality: "KO", .sopClassUID: "1.2.840.10008.5.1.4.1.1.88.59"])
        note.rejection = CatalogRejection(reasons: reasons, sopInstanceUIDs: rejected)
        return note
    }

    static func sighting(of instance: CatalogInstance, organisation: String) -> CatalogEvent {
        .sighting(
            CatalogSighting(
                sequence: 0, receivedAtNanoseconds: 2, source: source(organisation), blobID: instance.blobID))
    }

    private static func blobID(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8.prefix(32))
        return bytes + [UInt8](repeating: 0, count: 32 - bytes.count)
    }
}

// SPDX-License-Identifier: Apache-2.0
import Database
import Platform

/// A deletion, as it stands now.
package struct CatalogDeletion: Equatable, Sendable {
    package enum State: Int64, Sendable {
        /// May be taken back.
        case pending
        case takenBack
        case forGood
    }

    /// The tombstone's sequence number, by which it is taken back.
    package let sequence: UInt64
    package let level: CatalogLevel
    /// By level, from the study's down; nil: whatever it was.
    package let uids: [String?]
    package let deletedAtNanoseconds: Int64
    package let organisation: String
    package let callingAETitle: String
    /// That were there when it was deleted.
    package let instances: Int
    package let state: State
    /// Of what its organisation sent only.
    package let isOwnOnly: Bool
}

/// What a deletion would take away.
package struct CatalogDeletionScope: Equatable, Sendable {
    package var instances = 0
    /// Study date (DICOM's form, or empty) and organisation of each study's instances; a study stands for each sender.
    package var studies: [(uid: String, date: String, organisation: String)] = []

    package static func == (left: Self, right: Self) -> Bool {
        left.instances == right.instances && left.studies.elementsEqual(right.studies, by: ==)
    }
}

extension CatalogReader {
    package func deletions() throws(CatalogError) -> [CatalogDeletion] { try deletions(where: "TRUE", []) }

    package func deletion(_ sequence: UInt64) throws(CatalogError) -> CatalogDeletion? {
        try deletions(where: "t.sequence = ?", [.integer(Int64(clamping: sequence))]).first
    }

    /// Deletions that may still be taken back and were made before a moment (nanoseconds since 1970).
    package func deletions(pendingSinceBefore moment: Int64) throws(CatalogError) -> [CatalogDeletion] {
        // The state is written out, so that SQLite sees that the index of the pending ones will do.
        try deletions(where: "t.state = 0 AND t.received_at <= ?", [.integer(moment)])
    }

    private func deletions(
        where condition: String, _ values: [Statement.Value]
    ) throws(CatalogError) -> [CatalogDeletion] {
        var found: [CatalogDeletion] = []
        // The plus keeps SQLite from walking through the table in its order instead of using the condition's index.
        try database.statement(
            """
            SELECT t.sequence, t.level, t.uids, t.received_at, o.name, t.calling_ae_title, t.instances, t.state,
                t.is_own FROM tombstone t JOIN organisation o ON o.id = t.organisation
                WHERE \(condition) ORDER BY +t.sequence
            """
        ).forEach(values) { row throws(CatalogError) in
            found.append(Self.deletion(row))
            return true
        }
        return found
    }

    private static func deletion(_ row: Statement) -> CatalogDeletion {
        CatalogDeletion(
            sequence: UInt64(row.integer(0)), level: CatalogLevel(rawValue: Int(row.integer(1))) ?? .instance,
            uids: (row.text(2) ?? "").split(separator: " ", omittingEmptySubsequences: false).map {
                $0.isEmpty ? nil : String($0)
            }, deletedAtNanoseconds: row.integer(3), organisation: row.text(4) ?? "",
            callingAETitle: row.text(5) ?? "", instances: Int(row.integer(6)),
            state: CatalogDeletion.State(rawValue: row.integer(7)) ?? .pending, isOwnOnly: row.integer(8) != 0)
    }

    /// What is seen under a UID now, and whose it is.
    /// - Parameters:
    ///   - uids: by level, from the study's down; nil: whatever it is.
    ///   - organisation: of what this one sent only; nil: of everything.
    func deletionScope(
        under uids: [String?], sentBy organisation: String? = nil
    ) throws(CatalogError) -> CatalogDeletionScope {
        var scope = CatalogDeletionScope()
        // Without a look at what others have in the study, however much that is.
        if let organisation, let study = uids.first ?? nil, try !hasNamed(study: study, organisation) { return scope }
        var (source, values) = CatalogWriter.instances(under: uids)
        var isDateKnown = "1"
        if let organisation {
            let own = Statement.Value.integer(try organisationID(organisation))
            source += " AND EXISTS (SELECT 1 FROM version_source c WHERE c.instance = i.id AND c.organisation = ?)"
            // The date that others sent is not the organisation's to know.
            isDateKnown = """
                EXISTS (SELECT 1 FROM version_source c JOIN version v ON v.id = c.version WHERE c.instance = i.id
                    AND c.organisation = ? AND v.known & \(KnownLevels.study.rawValue) <> 0)
                """
            values = [own] + values + [own]
        }
        try database.statement(
            """
            SELECT s.id, s.uid, CASE WHEN max(\(isDateKnown)) THEN coalesce(s.study_date, '') ELSE '' END, count(*) FROM \(source) AND NOT EXISTS
                (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id AND h.reasons = 1) GROUP BY s.id
            """
        ).forEach(values) { row throws(CatalogError) in
            scope.instances += Int(row.integer(3))
            let senders = if let organisation { [organisation] } else { try organisations(ofStudy: row.integer(0)) }
            for organisation in senders {
                scope.studies.append((row.text(1) ?? "", row.text(2) ?? "", organisation))
            }
            return true
        }
        return scope
    }

    /// Whether an organisation has ever said whose a study is, as all do who send something into it. Unlike `hasSent` also
    /// where all of it is rejected by now, which may still be deleted.
    private func hasNamed(study uid: String, _ organisation: String) throws(CatalogError) -> Bool {
        try database.statement(
            """
            SELECT 1 FROM study s JOIN organisation o ON o.name = ?2
                JOIN patient_source q ON q.study = s.id AND q.organisation = o.id WHERE s.uid = ?1
            """
        ).first([.text(uid), .text(organisation)]) { _ in true } ?? false
    }

    private func organisations(ofStudy id: Int64) throws(CatalogError) -> [String] {
        var found: [String] = []
        try database.statement(
            """
            SELECT DISTINCT o.name FROM series e JOIN instance i ON i.series = e.id
                JOIN organisation o ON o.id = i.first_organisation WHERE e.study = ? ORDER BY o.name
            """
        ).forEach([.integer(id)]) { row throws(CatalogError) in
            found.append(row.text(0) ?? "")
            return true
        }
        return found
    }

    /// A rule in force, as the log's annotations say.
    package func setting(_ name: String) throws(CatalogError) -> String? {
        try database.statement("SELECT value FROM setting WHERE name = ?").first([.text(name)]) { $0.text(0) ?? "" }
    }

    /// Whether the log has something that could not be read when the catalog was made of it.
    package func isIncomplete() throws(CatalogError) -> Bool {
        try database.statement("SELECT 1 FROM meta WHERE key = 'incomplete'").first([]) { _ in true } ?? false
    }

    /// Segments that have records nobody refers to, with their bytes.
    package func garbage() throws(CatalogError) -> [(writer: UInt32, segment: UInt32, bytes: UInt64)] {
        var found: [(writer: UInt32, segment: UInt32, bytes: UInt64)] = []
        try database.statement(
            "SELECT writer, segment, sum(length) FROM garbage GROUP BY writer, segment ORDER BY segment, writer"
        ).forEach([]) { row throws(CatalogError) in
            found.append((UInt32(row.integer(0)), UInt32(row.integer(1)), UInt64(row.integer(2))))
            return true
        }
        return found
    }

    /// The records of a segment that nobody refers to: offset and blob.
    package func garbage(writer: UInt32, segment: UInt32) throws(CatalogError) -> [UInt64: [UInt8]] {
        try garbage(writer, segment, "")
    }

    /// Those of them whose content stands in another record: they were found damaged.
    package func replaced(writer: UInt32, segment: UInt32) throws(CatalogError) -> [UInt64: [UInt8]] {
        try garbage(writer, segment, "AND EXISTS (SELECT 1 FROM version WHERE version.blob = garbage.blob)")
    }

    private func garbage(
        _ writer: UInt32, _ segment: UInt32, _ condition: String
    ) throws(CatalogError) -> [UInt64: [UInt8]] {
        var found: [UInt64: [UInt8]] = [:]
        try database.statement(
            "SELECT offset, blob FROM garbage WHERE writer = ? AND segment = ? \(condition)"
        ).forEach([.integer(Int64(writer)), .integer(Int64(segment))]) { row throws(CatalogError) in
            found[UInt64(row.integer(0))] = row.blob(1)
            return true
        }
        return found
    }

    /// Instances whose stored bytes were found damaged and not replaced yet.
    package func damaged() throws(CatalogError) -> [CatalogVersion] {
        var ids: [(uid: String, blob: [UInt8])] = []
        try database.statement(
            """
            SELECT i.uid, v.blob FROM instance i JOIN version_source c ON c.instance = i.id
                JOIN version v ON v.id = c.version WHERE i.flags & 4 <> 0 AND i.flags <> 0 AND v.flags & 4 <> 0
                GROUP BY v.id ORDER BY v.id
            """
        ).forEach([]) { row throws(CatalogError) in
            ids.append((row.text(0) ?? "", row.blob(1)))
            return true
        }
        var found: [CatalogVersion] = []
        for (uid, blob) in ids { found += try versions(sopInstanceUID: uid).filter { $0.blobID == blob } }
        return found
    }
}

extension CatalogReaders {
    /// What deleting would hide; nothing of what an organisation has not sent itself is told to it, not by the time either.
    package func deletionScope(under uids: [String?], sentBy organisation: String?) throws -> CatalogDeletionScope {
        let start = Clock.monotonicNanoseconds()
        let scope = try withReader { try $0.deletionScope(under: uids, sentBy: organisation) }
        if let organisation, scope.instances == 0 {
            CatalogScope(organisation: organisation, visible: []).concealAbsence(since: start)
        }
        return scope
    }
}

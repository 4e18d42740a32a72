// SPDX-License-Identifier: Apache-2.0
import Database
import Glibc
import Platform

/// Damage, and the places of records: what changes about a version after it came.
extension CatalogWriter {
    func flagDamaged(_ blobID: [UInt8]) throws(CatalogError) {
        let found = try database.statement("UPDATE version SET flags = flags | 4 WHERE blob = ? RETURNING instance")
            .first([.blob(blobID)]) { $0.integer(0) }
        guard let instance = found else { return }
        try database.statement("UPDATE instance SET flags = flags | 4 WHERE id = ?").run([.integer(instance)])
        try refreshDamage(above: instance)
    }

    /// A good copy has come.
    func clearDamaged(_ version: Int64, of instance: Int64) throws(CatalogError) {
        try database.statement("UPDATE version SET flags = flags & ~4 WHERE id = ?").run([.integer(version)])
        try database.statement(
            """
            UPDATE instance SET flags = flags & ~4 WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM version_source c
                JOIN version v ON v.id = c.version WHERE c.instance = ?1 AND v.flags & 4 <> 0)
            """
        ).run([.integer(instance)])
        try refreshDamage(above: instance)
    }

    private func refreshDamage(above instance: Int64) throws(CatalogError) {
        let series = try series(of: instance)
        try refreshDamage(series: series)
        let study = try database.statement("SELECT study FROM series WHERE id = ?").first([.integer(series)]) {
            $0.integer(0)
        }
        if let study { try refreshDamage(study: study) }
    }

    func refreshDamage(series id: Int64) throws(CatalogError) {
        try database.statement(
            """
            UPDATE series SET flags = (flags & ~4) | (SELECT coalesce(max(flags & 4), 0) FROM instance
                WHERE series = ?1 AND flags <> 0) WHERE id = ?1
            """
        ).run([.integer(id)])
    }

    func refreshDamage(study id: Int64) throws(CatalogError) {
        try database.statement(
            """
            UPDATE study SET flags = (flags & ~4) | (SELECT coalesce(max(flags & 4), 0) FROM series
                WHERE study = ?1 AND flags <> 0) WHERE id = ?1
            """
        ).run([.integer(id)])
    }

    /// The record that a version had is not referred to any more.
    func discard(version: Int64) throws(CatalogError) {
        try database.statement(
            """
            INSERT INTO garbage SELECT writer, segment, offset, max(length, data_set_length), blob FROM version WHERE id = ?
                ON CONFLICT DO NOTHING
            """
        ).run([.integer(version)])
    }

    // MARK: Compaction

    /// Records of a segment have another place now. May be repeated; what was moved before is passed over.
    /// - Parameter moves: the same records, with the place before and after.
    package func move(_ moves: [(blobID: [UInt8], from: CatalogLocation, to: CatalogLocation)]) throws(CatalogError) {
        try inTurn { () throws(CatalogError) in try place(moves) }
    }

    private func place(_ moves: [(blobID: [UInt8], from: CatalogLocation, to: CatalogLocation)]) throws(CatalogError) {
        try database.execute("BEGIN IMMEDIATE")
        do {
            for (blobID, from, to) in moves {
                try database.statement(
                    """
                    UPDATE version SET writer = ?, segment = ?, offset = ?, length = ?
                        WHERE blob = ? AND writer = ? AND segment = ? AND offset = ?
                    """
                ).run(location(to) + [.blob(blobID)] + location(from).dropLast())
                // Deleted for good while it was copied.
                guard database.changes == 0 else { continue }
                try database.statement(
                    """
                    UPDATE garbage SET writer = ?, segment = ?, offset = ?, length = ?
                        WHERE writer = ? AND segment = ? AND offset = ?
                    """
                ).run(location(to) + location(from).dropLast())
            }
            try database.execute("COMMIT")
        } catch {
            try? database.execute("ROLLBACK")
            throw error
        }
    }

    /// Makes durable what was committed: before a file goes that an earlier state of the catalog refers to. The log alone
    /// would not bring that back, for it does not say where its records stand.
    package func synchronize() throws(CatalogError) {
        let path = path + "-wal"
        guard FileSystem.exists(path) else { return }
        do { try FileDescriptor.open(path, O_RDWR).synchronize() } catch {
            throw CatalogError(kind: .other, message: "\(error)")
        }
    }

    /// A segment's garbage has gone with it.
    package func forgetGarbage(writer: UInt32, segment: UInt32) throws(CatalogError) {
        try inTurn { () throws(CatalogError) in
            try database.statement("DELETE FROM garbage WHERE writer = ? AND segment = ?").run([
                .integer(Int64(writer)), .integer(Int64(segment)),
            ])
        }
    }
}

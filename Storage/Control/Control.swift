// SPDX-License-Identifier: Apache-2.0
import Database
import Glibc
import Platform

/// The archive's second database, `control.db`: what the archive has promised or was told and what does **not** follow from
/// the log. The catalog can be deleted and is made anew; this file cannot. It belongs into every backup (`copy(to:)`), and
/// its schema is migrated, never rebuilt.
///
/// So far it holds the requests for storage commitment that were accepted (PS3.4 annex J). Whatever a call has written is
/// durable when it returns: SQLite's write-ahead log is synced with each transaction (`synchronous=FULL`).
package final class Control: Sendable {
    let database: Monitor<Database>

    /// Opens the database and creates it if it is missing.
    /// - Throws: `.newerSchema` if a later version wrote it, `.corrupt` if it is damaged or no database.
    package init(path: String) throws(DatabaseError) {
        let isNew = !FileSystem.exists(path)
        let opened = try Database(path: path, isReadOnly: false, cacheKiB: 2048, functions: [])
        do throws(DatabaseError) {
            try opened.execute("PRAGMA journal_mode=WAL")
            try opened.execute("PRAGMA synchronous=FULL")
            try ControlSchema.bringUp(opened)
        } catch {
            throw error.kind == .corrupt
                ? DatabaseError(
                    kind: .corrupt, message: "\(path) is damaged (\(error)); restore it from a backup, or move it away")
                : error
        }
        database = Monitor(opened)
        if isNew { try Self.synchronize(FileSystem.parent(of: path)) }
    }

    /// Closes the database; nothing may be called any more.
    package func close() { database.withLock { $0.close() } }

    /// Copies the database as it stands now into a file of its own, durable when this returns. The archive goes on meanwhile.
    /// - Parameter path: is replaced whole or not at all.
    package func copy(to path: String) throws(DatabaseError) {
        try database.withLock { database throws(DatabaseError) in try Self.copy(database, to: path) }
    }

    /// The same for a process beside the one that has the archive open, or for an archive that is not running.
    package static func copy(from source: String, to path: String) throws(DatabaseError) {
        guard FileSystem.exists(source) else { throw DatabaseError(kind: .other, message: "\(source) is missing") }
        // Not read only: the write-ahead log of an archive that was stopped hard has to be recovered first.
        try copy(try Database(path: source, isReadOnly: false, cacheKiB: 2048, functions: []), to: path)
    }

    private static func copy(_ database: Database, to path: String) throws(DatabaseError) {
        let unfinished = path + ".new"
        for suffix in ["", "-wal", "-shm", "-journal"] { unlink(unfinished + suffix) }
        try database.copy(to: unfinished)
        guard rename(unfinished, path) == 0 else {
            throw DatabaseError(kind: .other, message: "\(SystemError("rename", path))")
        }
        try synchronize(FileSystem.parent(of: path))
    }

    private static func synchronize(_ directory: String) throws(DatabaseError) {
        do { try SystemVolume().synchronizeDirectory(directory) } catch {
            throw DatabaseError(kind: .other, message: "\(error)")
        }
    }

    /// Runs `body` in one transaction, durable when this returns.
    func transaction<Result>(
        _ body: (Database) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        try database.withLock { database throws(DatabaseError) in
            try database.execute("BEGIN IMMEDIATE")
            do throws(DatabaseError) {
                let result = try body(database)
                try database.execute("COMMIT")
                return result
            } catch {
                try? database.execute("ROLLBACK")
                throw error
            }
        }
    }
}

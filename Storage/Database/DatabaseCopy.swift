// SPDX-License-Identifier: Apache-2.0
import CSQLite

extension Database {
    private static let busyAttempts = 600
    private static let busyPauseMilliseconds: Int32 = 100

    /// Copies all of the database, as it stands at one moment, into a file of its own: SQLite's online backup, which goes on
    /// beside writers. The copy needs no write-ahead log and is synced.
    /// - Parameter path: of a file that does not exist, or holds a copy that is replaced.
    package func copy(to path: String) throws(DatabaseError) {
        let target = try Database(path: path, isReadOnly: false, cacheKiB: 2048, functions: [])
        defer { target.close() }
        guard let backup = sqlite3_backup_init(target.handle, "main", handle, "main") else {
            throw target.error(sqlite3_errcode(target.handle), "copy to \(path)")
        }
        var result = SQLITE_BUSY
        var attempt = 0
        // All pages in one step are of one moment.
        while result == SQLITE_BUSY || result == SQLITE_LOCKED, attempt < Self.busyAttempts {
            if attempt > 0 { sqlite3_sleep(Self.busyPauseMilliseconds) }
            result = sqlite3_backup_step(backup, -1)
            attempt += 1
        }
        let finished = sqlite3_backup_finish(backup)
        guard result == SQLITE_DONE else { throw error(result, "copy to \(path)") }
        guard finished == SQLITE_OK else { throw target.error(finished, "copy to \(path)") }
        // The source's journal mode came with its pages.
        try target.execute("PRAGMA journal_mode=DELETE")
    }
}

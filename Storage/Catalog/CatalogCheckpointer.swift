// SPDX-License-Identifier: Apache-2.0
import Database
import Platform

/// Moves the write-ahead log into the database on a thread of its own, so that no commit waits for it.
package final class CatalogCheckpointer: Sendable {
    /// 128 MiB: then the write-ahead log begins anew. One that only grows costs each commit new pages of the file, too.
    static let writeAheadPagesMaximum = 32_768
    /// Of it may be left to be moved while commits wait, some milliseconds.
    private static let partLeft = 16
    /// For readers who still need the log.
    private static let busyTimeoutMilliseconds = 50
    private let isStopping = Monitor(false)
    private let isRunning = Monitor(true)

    /// - Parameters:
    ///   - turn: of the writer.
    ///   - pagesMaximum: in the write-ahead log, before it begins anew.
    package init(
        path: String, turn: CatalogTurn, pagesMaximum: Int = writeAheadPagesMaximum, intervalSeconds: Double = 1
    ) throws(CatalogError) {
        let database = try Database(path: path, isReadOnly: false, cacheKiB: 2048)
        try database.execute("PRAGMA wal_autocheckpoint=0")
        try database.execute("PRAGMA busy_timeout=\(Self.busyTimeoutMilliseconds)")
        nonisolated(unsafe) let connection = database
        do {
            try SystemThread(name: "checkpoint") { [isStopping, isRunning] in
                var commits = turn.withLock { $0 }
                while isStopping.wait(until: Clock.deadline(seconds: intervalSeconds), { $0 ? true : nil }) == nil {
                    do throws(CatalogError) { try Self.move(connection, turn, pagesMaximum, &commits) } catch {
                        // Somebody reads what the log still holds. The next time, then.
                        if error.kind != .busy { Log.warning("catalog checkpoint failed", ["why": "\(error)"]) }
                    }
                }
                connection.close()
                isRunning.update { $0 = false }
            }.detach()
        } catch {
            throw CatalogError(kind: .other, message: "\(error)")
        }
    }

    /// While commits follow each other without a pause, a checkpoint that disturbs nobody never reaches the end. So where the log
    /// has grown long, only the last pages are moved while commits wait, with all others on the device already.
    /// - Parameter commits: as many as there were when the last checkpoint had ended.
    private static func move(_ connection: Database, _ turn: CatalogTurn, _ pagesMaximum: Int, _ commits: inout Int)
        throws(CatalogError)
    {
        guard var log = try checkpoint(connection, turn, &commits), log.pages > pagesMaximum else { return }
        for _ in 0..<4 {
            // What is committed meanwhile, it does not tell; the next one does.
            let before = log.moved
            guard let next = try checkpoint(connection, turn, &commits) else { break }
            log = next
            if log.moved - before <= pagesMaximum / partLeft { break }
        }
        try connection.synchronize()
        try turn.withLock { now throws(CatalogError) in
            commits = now
            try connection.checkpoint(.restart)
        }
    }

    /// Moves what it can beside the commits; nil: there is nothing new since the last time. Then it must not be tried,
    /// either: SQLite before 3.51.3 may take pages for moved that are not, and lose them, where one checkpoint follows a
    /// complete one just as a commit begins the log anew (sqlite.org/wal.html, "the WAL-reset bug"). The first commit behind
    /// a complete one does that, so behind a commit it is done; and a checkpoint under the writer's turn meets none.
    private static func checkpoint(
        _ connection: Database, _ turn: CatalogTurn, _ commits: inout Int
    ) throws(CatalogError) -> (pages: Int, moved: Int)? {
        guard turn.withLock({ $0 }) != commits else { return nil }
        defer { commits = turn.withLock { $0 } }
        return try connection.checkpoint(.passive)
    }

    package func stop() {
        isStopping.update { $0 = true }
        _ = isRunning.wait { $0 ? nil : true }
    }
}

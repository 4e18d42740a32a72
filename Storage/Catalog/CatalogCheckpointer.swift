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
                // Of the log when it last began anew: it says the same until somebody writes.
                var restarted = 0
                while isStopping.wait(until: Clock.deadline(seconds: intervalSeconds), { $0 ? true : nil }) == nil {
                    do throws(CatalogError) { try Self.move(connection, turn, pagesMaximum, &restarted) } catch {
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
    private static func move(_ connection: Database, _ turn: CatalogTurn, _ pagesMaximum: Int, _ restarted: inout Int)
        throws(CatalogError)
    {
        var log = try connection.checkpoint(.passive)
        guard log.pages > pagesMaximum, log.pages != restarted else { return }
        for _ in 0..<4 {
            // What is committed meanwhile, it does not tell; the next one does.
            let before = log.moved
            log = try connection.checkpoint(.passive)
            if log.moved - before <= pagesMaximum / partLeft { break }
        }
        try connection.synchronize()
        restarted = try turn.withLock { _ throws(CatalogError) in try connection.checkpoint(.restart) }.pages
    }

    package func stop() {
        isStopping.update { $0 = true }
        _ = isRunning.wait { $0 ? nil : true }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Platform

/// Moves the write-ahead log into the database on a thread of its own, so that no commit waits for it.
package final class CatalogCheckpointer: Sendable {
    private static let intervalSeconds = 1.0
    /// Pages after which the log is made to begin anew: while commits follow each other without a pause, it never would.
    private static let restartPages: Int64 = 16_384
    /// What may be left to be moved while commits wait.
    private static let remainderPages: Int64 = 2_048
    /// How long commits may wait for readers that still need the log.
    private static let patienceMilliseconds = 200
    private let isStopping = Monitor(false)
    private let isRunning = Monitor(true)

    package init(path: String) throws(CatalogError) {
        let database = try Database(path: path, isReadOnly: false, cacheKiB: 2048)
        try database.execute("PRAGMA wal_autocheckpoint=0")
        try database.execute("PRAGMA busy_timeout=\(Self.patienceMilliseconds)")
        nonisolated(unsafe) let connection = database
        do {
            try SystemThread(name: "checkpoint") { [isStopping, isRunning] in
                while isStopping.wait(until: Clock.deadline(seconds: Self.intervalSeconds), { $0 ? true : nil }) == nil
                {
                    do { try Self.checkpoint(connection) } catch {
                        Log.warning("catalog checkpoint failed", ["why": "\(error)"])
                    }
                }
                connection.close()
                isRunning.update { $0 = false }
            }.detach()
        } catch {
            throw CatalogError(kind: .other, message: "\(error)")
        }
    }

    private static func checkpoint(_ database: Database) throws(CatalogError) {
        // PASSIVE disturbs nobody, but leaves what was committed meanwhile.
        var state = try run("PASSIVE", database)
        guard state.log > restartPages else { return }
        for _ in 0..<5 where state.log - state.moved > remainderPages { state = try run("PASSIVE", database) }
        _ = try run("RESTART", database)
    }

    /// - Returns: pages in the log, and how many of them are in the database.
    private static func run(_ mode: String, _ database: Database) throws(CatalogError) -> (log: Int64, moved: Int64) {
        try database.statement("PRAGMA wal_checkpoint(\(mode))").first([]) { ($0.integer(1), $0.integer(2)) } ?? (0, 0)
    }

    package func stop() {
        isStopping.update { $0 = true }
        _ = isRunning.wait { $0 ? nil : true }
    }
}

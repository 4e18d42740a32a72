// SPDX-License-Identifier: Apache-2.0
import Database
import Platform

/// Moves the write-ahead log into the database on a thread of its own, so that no commit waits for it.
package final class CatalogCheckpointer: Sendable {
    private static let intervalSeconds = 1.0
    private let isStopping = Monitor(false)
    private let isRunning = Monitor(true)

    package init(path: String) throws(CatalogError) {
        let database = try Database(path: path, isReadOnly: false, cacheKiB: 2048)
        try database.execute("PRAGMA wal_autocheckpoint=0")
        nonisolated(unsafe) let connection = database
        do {
            try SystemThread(name: "checkpoint") { [isStopping, isRunning] in
                while isStopping.wait(until: Clock.deadline(seconds: Self.intervalSeconds), { $0 ? true : nil }) == nil
                {
                    // PASSIVE disturbs nobody. While commits follow each other without a pause it never reaches the end;
                    // `CatalogWriter` sees to that.
                    do { try connection.execute("PRAGMA wal_checkpoint(PASSIVE)") } catch {
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

    package func stop() {
        isStopping.update { $0 = true }
        _ = isRunning.wait { $0 ? nil : true }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Database
import Glibc
import Platform

/// Moves the write-ahead log into the database on a thread of its own, so that no commit waits for it.
package final class CatalogCheckpointer: Sendable {
    /// 128 MiB: then the write-ahead log begins anew. One that only grows costs each commit new pages of the file, too.
    static let writeAheadPagesMaximum = 32_768
    /// 256 MiB of its file are kept. To write into the pages of one that has been longer, which nobody has in memory any more,
    /// the kernel first reads them: a third of the time of who writes.
    static let writeAheadBytesKept = 268_435_456
    /// Of it may be left to be moved while commits wait, some milliseconds.
    private static let partLeft = 16
    /// While commits follow each other, so often in an interval. The device writes what was moved in one go, and the log of
    /// instances waits for it: 20 ms once a second made p99 27 ms at half of the load that the archive takes; 5 ms four times a
    /// second make it 12, and the write-ahead log stays shorter.
    private static let movesPerInterval = 4
    /// Fewer since the last move wait for the interval's end.
    private static let commitsMinimum = 4
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
        nonisolated(unsafe) var mover = Mover(connection: database, turn: turn, pagesMaximum: pagesMaximum)
        do {
            try SystemThread(name: "checkpoint") { [isStopping, isRunning] in
                let part = intervalSeconds / Double(Self.movesPerInterval)
                var number = 0
                while isStopping.wait(until: Clock.deadline(seconds: part), { $0 ? true : nil }) == nil {
                    number += 1
                    let isEnd = number % Self.movesPerInterval == 0
                    guard isEnd || mover.commitsWaiting >= Self.commitsMinimum else { continue }
                    do throws(CatalogError) { try mover.move(mayWait: isEnd) } catch {
                        // Somebody reads what the log still holds. The next time, then.
                        if error.kind != .busy { Log.warning("catalog checkpoint failed", ["why": "\(error)"]) }
                    }
                }
                mover.connection.close()
                isRunning.update { $0 = false }
            }.detach()
        } catch {
            throw CatalogError(kind: .other, message: "\(error)")
        }
    }

    /// SQLite before 3.51.3 may take pages for moved that are not, and lose them, where one checkpoint follows a complete one
    /// just as a commit begins the log anew (sqlite.org/wal.html, "the WAL-reset bug"). The first commit behind a complete one
    /// does that. So a checkpoint beside the commits begins behind one, or where the last was not complete; all others begin
    /// under the writer's turn, and meet none.
    private struct Mover {
        let connection: Database
        let turn: CatalogTurn
        let pagesMaximum: Int
        /// Commits when the last checkpoint began; before the first one all is as another process may have left it.
        private var commitsBefore = -1
        /// With so many, one has begun and ended behind the last checkpoint.
        private var commitsSafe = 1
        private var isComplete = true
        /// When it was last found that too few had come.
        private var commitsSeen = -1

        init(connection: Database, turn: CatalogTurn, pagesMaximum: Int) {
            (self.connection, self.turn, self.pagesMaximum) = (connection, turn, pagesMaximum)
        }

        /// Commits since the last checkpoint.
        var commitsWaiting: Int { turn.commits - commitsBefore }

        /// While commits follow each other without a pause, a checkpoint that disturbs nobody never reaches the end. So where
        /// the log has grown long, only the last pages are moved while commits wait, with all others on the device already.
        /// - Parameter mayWait: for that, and for readers of the log meanwhile.
        mutating func move(mayWait: Bool) throws(CatalogError) {
            guard var log = try checkpoint(), mayWait, log.pages > pagesMaximum else { return }
            for _ in 0..<4 where isFollowed() {
                // What is committed meanwhile, it does not tell; the next one does.
                let before = log.moved
                guard let next = try checkpoint() else { break }
                log = next
                if log.moved - before <= pagesMaximum / partLeft { break }
            }
            _ = try checkpointAlone(.restart)
        }

        /// Whether a commit comes soon behind which the next checkpoint need not make others wait.
        private func isFollowed() -> Bool {
            // They may linger for 25 ms, and it may take two.
            for _ in 0..<30 {
                if !isComplete || turn.commits >= commitsSafe { return true }
                usleep(2000)
            }
            return false
        }

        /// Moves what it can; nil: there is nothing to move, or it waits for a commit.
        private mutating func checkpoint() throws(CatalogError) -> (pages: Int, moved: Int)? {
            let commits = turn.commits
            if isComplete, commits < commitsSafe {
                if commits == commitsBefore { return nil }
                // What came while the last one was under way may have been left. Where no more comes, none is held up.
                defer { commitsSeen = commits }
                return commits == commitsSeen ? try checkpointAlone(.passive) : nil
            }
            // One that is under way now is counted with the first, and has not begun behind this.
            defer { commitsSafe = turn.commits + 2 }
            return try run(.passive, commits)
        }

        private mutating func checkpointAlone(
            _ kind: Database.Checkpoint
        ) throws(CatalogError) -> (pages: Int, moved: Int) {
            // What was moved before need not reach the device while commits wait.
            try connection.synchronize()
            return try turn.betweenWrites { commits throws(CatalogError) in
                commitsSafe = commits + 1
                return try run(kind, commits)
            }
        }

        private mutating func run(
            _ kind: Database.Checkpoint, _ commits: Int
        ) throws(CatalogError) -> (pages: Int, moved: Int) {
            // If it fails, nothing is known.
            (commitsBefore, isComplete) = (-1, true)
            let log = try connection.checkpoint(kind)
            (commitsBefore, isComplete) = (commits, log.moved == log.pages)
            return log
        }
    }

    package func stop() {
        isStopping.update { $0 = true }
        _ = isRunning.wait { $0 ? nil : true }
    }
}

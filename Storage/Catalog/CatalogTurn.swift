// SPDX-License-Identifier: Apache-2.0
import Database
import Platform
import Synchronization

/// Held by who writes to the catalog. SQLite's own lock is asked for again and again, and found free too seldom where one
/// transaction follows the other; so would a plain lock be, which its holder takes again before the next one has woken.
package final class CatalogTurn: Sendable {
    private let next = Monitor(())
    /// Holds the number of commits.
    private let holder: Monitor<Int>
    private let counted: Atomic<Int>

    /// - Parameter database: the writer's, which may have made its tables.
    init(after database: Database) {
        holder = Monitor(database.commits)
        counted = Atomic(database.commits)
    }

    /// Commits that have written pages. One that is under way may have written them and not be counted yet.
    var commits: Int { counted.load(ordering: .acquiring) }

    /// For transactions, one after the other.
    func write<Failure: Error>(in database: Database, _ body: () throws(Failure) -> Void) throws(Failure) {
        next.withLock { _ in }
        try holder.withLock { commits throws(Failure) in
            defer {
                commits = database.commits
                counted.store(commits, ordering: .releasing)
            }
            try body()
        }
    }

    /// Behind the transaction that is under way, before the next one.
    /// - Parameter body: gets the exact number of commits.
    func betweenWrites<Result, Failure: Error>(_ body: (Int) throws(Failure) -> Result) throws(Failure) -> Result {
        try next.withLock { _ throws(Failure) in
            try holder.withLock { commits throws(Failure) in try body(commits) }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import CSQLite

extension Database {
    /// What a checkpoint does with the write-ahead log.
    package enum Checkpoint {
        /// Moves what it can, and disturbs nobody.
        case passive
        /// Moves all of it while nobody writes, so that the next one to write begins it anew.
        case restart
    }

    /// Moves pages from the write-ahead log into the database.
    /// - Returns: the pages in the log, and how many of them have been moved by now.
    @discardableResult
    package func checkpoint(_ kind: Checkpoint) throws(DatabaseError) -> (pages: Int, moved: Int) {
        var pages: Int32 = 0
        var moved: Int32 = 0
        let mode = kind == .passive ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART
        let result = sqlite3_wal_checkpoint_v2(handle, "main", mode, &pages, &moved)
        guard result == SQLITE_OK else { throw error(result, "checkpoint") }
        return (Int(pages), Int(moved))
    }

    /// Makes the memory beside the database, in which SQLite keeps where the pages of its write-ahead log are, large enough for
    /// a log of so many bytes: one that grows on a full disk would fail for it.
    /// - Returns: whether there was room.
    package func reserveSharedMemory(writeAheadBytes: UInt64) -> Bool {
        // sqlite.org/walformat.html: 32 KiB for 4096 frames, a few less in the first; each a page with 24 bytes before it.
        csqlite_extend_shared_memory(handle, Int32(writeAheadBytes / (4096 + 24) / 4096 + 2), 32_768) == SQLITE_OK
    }

    /// Has what was moved into the database written to the device, without a lock.
    package func synchronize() throws(DatabaseError) {
        let result = csqlite_sync(handle)
        guard result == SQLITE_OK else { throw error(result, "sync") }
    }
}

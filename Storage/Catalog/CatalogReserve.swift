// SPDX-License-Identifier: Apache-2.0
import Database
import Glibc
import Platform

/// Room that is set aside behind the end of the write-ahead log. The catalog follows the answers, so what was answered last
/// is on its way there when others take the last byte of the disk; with this it arrives, and is found. Best effort: where
/// nothing can be set aside, the catalog is written while there is room. One thread at a time.
struct CatalogReserve {
    /// 16 MiB.
    private static let leastBytes: UInt64 = 1 << 24
    /// 128 MiB: what the follower gathers at most changes about as much.
    private static let mostBytes: UInt64 = 1 << 27
    private static let retrySeconds = 1.0
    private let file: FileDescriptor?
    /// Of the file, when it was looked at last. A log that began anew is shorter than its file.
    private var size: UInt64 = 0
    /// What one transaction has added at most.
    private var largest: UInt64 = 0
    /// Up to here the disk has set room aside.
    private var reserved: UInt64 = 0
    /// When to try again after trying in vain, on the monotonic clock.
    private var retryAt: UInt64 = 0

    /// - Parameter path: of the catalog, which is open and stays so.
    init(path: String) {
        // SQLite locks the database and its shared memory, not this file, so closing it drops no lock.
        file = try? FileDescriptor.open(path + "-wal", O_RDWR)
        size = (try? file?.size()) ?? 0
    }

    /// Looks after a transaction that there is room for the next two: one is written while the other gathers.
    /// - Parameter isReplay: nobody is answered meanwhile, and its transactions are larger than any other's.
    mutating func keep(_ database: Database, isReplay: Bool = false) {
        guard let file, let size = try? file.size() else { return }
        // Behind a shorter end nothing is left of what was set aside.
        if size < self.size { reserved = 0 } else if !isReplay { largest = max(largest, size - self.size) }
        self.size = size
        if isReplay { return }
        let wanted = min(max(largest * 2, Self.leastBytes), Self.mostBytes)
        guard reserved < size + wanted, Clock.monotonicNanoseconds() >= retryAt else { return }
        let end = size + wanted * 2
        if database.reserveSharedMemory(writeAheadBytes: end), file.reserve(size..<end) {
            reserved = end
        } else {
            retryAt = Clock.deadline(seconds: Self.retrySeconds)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Database

/// How much of the catalog the writer keeps in memory. The images of a study touch the same few pages, and a cache that only
/// filled as the catalog grew would hold pages that nobody asks for again. Studies of one image each touch a dozen pages
/// anywhere: with 32 MiB a fifth less of them was stored at 120,000 studies than with 128. So it grows where pages are missed.
struct CatalogPageCache {
    static let leastKiB = 16_384
    private static let mostKiB = 131_072
    static let eventsExamined = 1024
    /// An image of a known study misses two or three in a large archive: those of its content's address and of its UID.
    private static let missesPerEvent = 4

    private(set) var kiB = leastKiB
    private var events = 0

    /// Called behind each commit of so many events.
    mutating func fit(to events: Int, in database: Database) {
        self.events += events
        guard kiB < Self.mostKiB, self.events >= Self.eventsExamined else { return }
        let misses = database.takeCacheMisses()
        if misses > Self.missesPerEvent * self.events {
            kiB *= 2
            // With the cache that it has, it works, too.
            try? database.execute("PRAGMA cache_size=-\(kiB)")
        }
        self.events = 0
    }
}

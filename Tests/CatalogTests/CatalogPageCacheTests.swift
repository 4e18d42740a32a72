// SPDX-License-Identifier: Apache-2.0
import Database
import Foundation
import Testing

@testable import Catalog

@Suite("The writer's pages in memory")
struct CatalogPageCacheTests {
    @Test("They become more where each event misses many, and never too many")
    func grows() throws {
        let path = "\(NSTemporaryDirectory())snimok-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let database = try Database(path: path, isReadOnly: false, cacheKiB: 64)
        defer { database.close() }
        try database.execute(
            """
            CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT);
            WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
                INSERT INTO t SELECT i, printf('%3000d', i) FROM n
            """)
        func read(_ count: Int) throws {
            // Whatever was set, so that pages are missed.
            try database.execute("PRAGMA cache_size=-64")
            for id in 1...count {
                try database.statement("SELECT text FROM t WHERE id = ?").run([.integer(Int64(id % 4000 + 1))])
            }
        }
        _ = database.takeCacheMisses()
        try read(4000)
        #expect(database.takeCacheMisses() > 3900)
        #expect(database.takeCacheMisses() == 0)
        var cache = CatalogPageCache()
        try read(3000)
        cache.fit(to: 4096, in: database)
        #expect(cache.kiB == CatalogPageCache.leastKiB)
        for _ in 0..<5 { try read(4000) }
        // Not before it has seen as many events as it judges by.
        cache.fit(to: CatalogPageCache.eventsExamined - 24, in: database)
        #expect(cache.kiB == CatalogPageCache.leastKiB)
        cache.fit(to: 24, in: database)
        #expect(cache.kiB == 2 * CatalogPageCache.leastKiB)
        #expect(
            try database.statement("PRAGMA cache_size").first([]) { $0.integer(0) } == -2
                * Int64(CatalogPageCache.leastKiB))
        for _ in 0..<10 {
            for _ in 0..<5 { try read(4000) }
            cache.fit(to: 4096, in: database)
        }
        #expect(cache.kiB == 8 * CatalogPageCache.leastKiB)
    }
}

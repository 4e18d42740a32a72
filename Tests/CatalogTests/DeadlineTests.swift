// SPDX-License-Identifier: Apache-2.0
import Database
import Testing

@Suite("Searches with an end")
struct DeadlineTests {
    private static let endless =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"

    @Test("A statement without end is stopped; the connection goes on")
    func endless() throws {
        let database = try Database(path: ":memory:", isReadOnly: false, cacheKiB: 64, functions: [])
        for _ in 0..<2 {
            let error = #expect(throws: DatabaseError.self) {
                try database.within(seconds: 0.01) { () throws(DatabaseError) in
                    try database.statement(Self.endless).first([]) { $0.integer(0) }
                }
            }
            #expect(error?.kind == .tooLong)
            #expect(try database.statement("SELECT 7").first([]) { $0.integer(0) } == 7)
        }
    }

    @Test("What ends in time is not stopped, nor what comes after the time")
    func inTime() throws {
        let database = try Database(path: ":memory:", isReadOnly: false, cacheKiB: 64, functions: [])
        let counted =
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 200000) SELECT count(*) FROM n"
        #expect(
            try database.within(seconds: 60) { () throws(DatabaseError) in
                try database.statement(counted).first([]) { $0.integer(0) }
            } == 200_000)
        #expect(try database.within(seconds: 0) { 1 } == 1)
        #expect(try database.statement(counted).first([]) { $0.integer(0) } == 200_000)
    }
}

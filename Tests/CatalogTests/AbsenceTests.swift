// SPDX-License-Identifier: Apache-2.0
import Platform
import Testing

@testable import Catalog

@Suite("Nothing to be seen, and nothing there")
struct AbsenceTests {
    private static let step: UInt64 = 1_000_000

    private static func took(_ body: () throws -> Int) rethrows -> (rows: Int, nanoseconds: UInt64) {
        let start = Clock.monotonicNanoseconds()
        let rows = try body()
        return (rows, Clock.monotonicNanoseconds() - start)
    }

    @Test("Neither is answered before the next step of time, by any question")
    func steps() throws {
        let catalog = try TestCatalog()
        try catalog.add(Samples.instance(1, 1, 1, organisation: "A"))
        let readers = try CatalogReaders(path: catalog.path)
        let scope = CatalogScope(organisation: "B", visible: [])
        for study in ["1.1", "1.999"] {
            var query = CatalogQuery(level: .study, scope: scope)
            query.conditions = [CatalogCondition(column: .studyInstanceUID, match: .equals(study))]
            var paged = query
            paged.limit = 10
            var wanted = CatalogSelection()
            wanted.studyInstanceUIDs = [study]
            let selection = wanted
            let questions: [() throws -> Int] = [
                {
                    var rows = 0
                    try readers.find(query) { _ in
                        rows += 1
                        return true
                    }
                    return rows
                },
                { try readers.page(paged, countingUpTo: 100).total },
                { try readers.versions(selection, scope: scope).count },
            ]
            for question in questions {
                let (rows, nanoseconds) = try Self.took(question)
                #expect(rows == 0 && nanoseconds >= Self.step)
            }
        }
    }
}

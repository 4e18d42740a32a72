// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Catalog

@Suite("Matching (PS3.4 section C.2.2.2)")
struct MatchingTests {
    private let catalog: TestCatalog

    init() throws {
        catalog = try TestCatalog()
        try catalog.add(
            study(
                1,
                [.patientName: "Müller^Anna", .studyDate: "20250101", .studyTime: "0815", .studyDescription: "CT 50%"]),
            study(
                2, [.patientName: "Meier^Bob", .studyDate: "20250102", .studyTime: "101500", .studyDescription: "a_b"]),
            study(
                3, [.patientName: "O'Neill^\"Pat\"", .studyDate: "20250103", .studyTime: "101559.999", .modality: "MR"]),
            study(4, [.patientName: "Yamada^Tarou=山田^太郎=やまだ^たろう", .studyDate: "20250104", .studyTime: "1016"]),
            study(5, [.patientName: "Schmidt-Meier^Eva", .studyDate: "", .studyTime: "", .accessionNumber: ""]),
            study(
                6,
                [
                    .patientName: "X", .studyDate: "20250106", .studyTime: "235959",
                    .referringPhysicianName: "Doc^Tor=醫^生",
                ]))
    }

    private func study(_ number: Int, _ values: [CatalogColumn: String]) -> CatalogInstance {
        var values = values
        if values[.studyDescription] == nil { values[.studyDescription] = "c\\d" }
        return Samples.instance(number, 1, 1, values)
    }

    private func find(_ column: CatalogColumn, _ match: CatalogMatch) throws -> [Int] {
        try catalog.find(.study, (column, match)).map { Int($0.dropFirst(2))! }
    }

    @Test(
        "Values match as a whole, one of a list, by wildcard or by range",
        arguments: [
            (.patientID, .equals("P2"), [2]), (.patientID, .equals("p2"), []), (.patientID, .equals("P"), []),
            (.patientID, .wildcard("P*"), [1, 2, 3, 4, 5, 6]), (.patientID, .wildcard("?3"), [3]),
            (.patientID, .wildcard("P?"), [1, 2, 3, 4, 5, 6]), (.patientID, .wildcard("P"), []),
            (.patientID, .wildcard("*"), [1, 2, 3, 4, 5, 6]), (.patientID, .wildcard("??*?"), []),
            (.patientID, .anyOf(["P1", "P9", "P4"]), [1, 4]), (.patientID, .anyOf([]), []),
            (.studyInstanceUID, .equals("1.3"), [3]), (.studyInstanceUID, .anyOf(["1.3", "1.1"]), [1, 3]),
            (.accessionNumber, .equals("A6"), [6]), (.accessionNumber, .wildcard("*"), [1, 2, 3, 4, 6]),
            (.modality, .equals("MR"), [3]),
            (.studyDate, .equals("20250102"), [2]),
            (.studyDate, .range(from: "20250102", to: "20250104"), [2, 3, 4]),
            (.studyDate, .range(from: nil, to: "20250102"), [1, 2]),
            (.studyDate, .range(from: "20250104", to: nil), [4, 6]),
            (.studyDate, .range(from: "20250105", to: "20250104"), []),
            (.studyTime, .equals("101500"), [2]),
            (.studyTime, .range(from: "1015", to: "1015"), [2, 3]),
            (.studyTime, .range(from: "10", to: "10"), [2, 3, 4]),
            (.studyTime, .range(from: "101600", to: nil), [6]), (.studyTime, .range(from: nil, to: "1014"), [1]),
            (.studyTime, .range(from: "2359", to: "235959"), [6]),
        ] as [(CatalogColumn, CatalogMatch, [Int])])
    func values(column: CatalogColumn, match: CatalogMatch, expected: [Int]) throws {
        // A modality is looked for in the series, and its study is what is counted here.
        guard column.level == .series else {
            #expect(try find(column, match) == expected)
            return
        }
        let series = try catalog.find(.series, (column, match))
        #expect(series == expected.map { "1.\($0).1" })
    }

    @Test(
        "Patients are found by each component group of each name, from its beginning or within",
        arguments: [
            (.equals("MEIER^BOB"), [2]), (.equals("MEIER"), []), (.wildcard("MEIER*"), [2]),
            (.wildcard("*MEIER*"), [2, 5]), (.wildcard("*EIER^*"), [2, 5]), (.wildcard("*^EVA"), [5]),
            (.wildcard("M?LLER*"), [1]), (.wildcard("M??LLER*"), []), (.wildcard("M*"), [1, 2]),
            (.equals("山田^太郎"), [4]), (.wildcard("山田*"), [4]), (.wildcard("*太郎"), [4]), (.wildcard("*田^太*"), [4]),
            (.wildcard("やまだ*"), [4]), (.wildcard("*まだ^た*"), [4]), (.wildcard("YAMADA*"), [4]),
            (.wildcard("*'NEILL*"), [3]), (.wildcard("*\"PAT\"*"), [3]), (.wildcard("O'*"), [3]),
            (.wildcard("*\"\"\"*"), []), (.wildcard("*AT\"*"), [3]), (.equals("' OR 1=1 --"), []),
            (.wildcard("?"), [6]), (.wildcard("*X"), [6]), (.wildcard("*ZZZ*"), []),
        ] as [(CatalogMatch, [Int])])
    func names(match: CatalogMatch, expected: [Int]) throws {
        #expect(try find(.patientName, match) == expected)
    }

    @Test(
        "A wildcard is one before an accent, too",
        arguments: ["*\u{301}cho*", "e*\u{301}cho*", "?\u{301}cho*", "*\"\u{301}ab*"])
    func accent(_ pattern: String) throws {
        try catalog.add(study(7, [.studyDescription: "e\u{301}cho \"\u{301}ab"]))
        #expect(try find(.studyDescription, .wildcard(pattern)) == [7])
    }

    @Test("Names of physicians are found by the whole or a component group")
    func physicians() throws {
        #expect(try find(.referringPhysicianName, .equals("DOC^TOR=醫^生")) == [6])
        #expect(try find(.referringPhysicianName, .equals("DOC^TOR")) == [6])
        #expect(try find(.referringPhysicianName, .wildcard("DOC*")) == [6])
        #expect(try find(.referringPhysicianName, .wildcard("*TOR")) == [6])
        #expect(try find(.referringPhysicianName, .wildcard("*醫*")) == [6])
        #expect(try find(.referringPhysicianName, .wildcard("醫*")) == [6])
        #expect(try find(.referringPhysicianName, .equals("醫^生")) == [6])
        #expect(try find(.referringPhysicianName, .equals("DOC")) == [])
    }

    @Test(
        "Characters that mean something to SQL mean nothing here",
        arguments: [
            (.equals("CT 50%"), [1]), (.equals("CT%"), []), (.wildcard("CT 50%"), [1]), (.wildcard("%*"), []),
            (.wildcard("a_b"), [2]), (.wildcard("a__"), []), (.wildcard("?_?"), [2]),
            (.wildcard("c\\d"), [3, 4, 5, 6]),
            (.wildcard("c\\*"), [3, 4, 5, 6]), (.wildcard("[a-z]*"), []), (.equals("'"), []), (.wildcard("*'*"), []),
            (.wildcard("*\"*"), []), (.equals("\0"), []), (.wildcard("*a\0bcd*"), []),
            (.anyOf(["'); DROP TABLE study; --", "a_b"]), [2]),
        ] as [(CatalogMatch, [Int])])
    func specialCharacters(match: CatalogMatch, expected: [Int]) throws {
        #expect(try find(.studyDescription, match) == expected)
    }

    @Test(
        "Date and time match as one moment",
        arguments: [
            ("20250102", "1015", "20250103", "1015", [2, 3]), ("20250102", "101501", "20250104", "1015", [3]),
            ("20250102", "101501", "20250104", nil, [3, 4]), ("20250102", nil, nil, nil, [2, 3, 4, 6]),
            (nil, nil, "20250102", "101459", [1]), ("20250106", "235959", "20250106", "235959", [6]),
        ] as [(String?, String?, String?, String?, [Int])])
    func moments(fromDate: String?, fromTime: String?, toDate: String?, toTime: String?, expected: [Int]) throws {
        var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
        query.dateTimeRanges = [
            CatalogDateTimeRange(
                dateColumn: .studyDate, timeColumn: .studyTime, fromDate: fromDate, fromTime: fromTime, toDate: toDate,
                toTime: toTime)
        ]
        #expect(try catalog.keys(query) == expected.map { "1.\($0)" })
    }

    @Test("Studies are found by the modalities and SOP classes within, alone or with other keys")
    func content() throws {
        try catalog.add(Samples.instance(1, 2, 1, [.modality: "PR", .sopClassUID: "1.2.3"]))
        var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
        query.modalitiesInStudy = .equals("PR")
        #expect(try catalog.keys(query) == ["1.1"])
        query.modalitiesInStudy = .anyOf(["MR", "PR"])
        #expect(try catalog.keys(query) == ["1.1", "1.3"])
        query.modalitiesInStudy = .wildcard("M*")
        #expect(try catalog.keys(query) == ["1.3"])
        query.modalitiesInStudy = .equals("CT")
        query.sopClassesInStudy = .equals("1.2.3")
        #expect(try catalog.keys(query) == ["1.1"])
        query.conditions = [CatalogCondition(column: .studyDate, match: .equals("20250102"))]
        #expect(try catalog.keys(query) == [])
        query.sopClassesInStudy = nil
        #expect(try catalog.keys(query) == ["1.2"])
    }

    @Test("Request attributes must match within one item")
    func requests() throws {
        func request(_ procedure: String, _ step: String) -> CatalogRequest {
            CatalogRequest(
                requestedProcedureID: procedure, scheduledProcedureStepID: step, accessionNumber: "",
                requestedProcedureDescription: "", scheduledProcedureStepDescription: "")
        }
        try catalog.add(Samples.instance(7, 1, 1, requests: [request("R1", "S1"), request("R2", "S2")]))
        for level in [CatalogLevel.study, .series, .instance] {
            var query = CatalogQuery(level: level, scope: .everything(as: "A"))
            query.request = [(.requestedProcedureID, .equals("R1")), (.scheduledProcedureStepID, .equals("S1"))]
            #expect(try catalog.keys(query).count == 1)
            query.request = [(.requestedProcedureID, .equals("R1")), (.scheduledProcedureStepID, .equals("S2"))]
            #expect(try catalog.keys(query).isEmpty)
        }
    }

    @Test("Keys of all levels narrow an answer together")
    func levels() throws {
        try catalog.add(Samples.instance(2, 1, 2, [.patientName: "Meier^Bob", .instanceNumber: "5"]))
        #expect(
            try catalog.find(
                .instance, (.patientName, .wildcard("*EIER*")), (.studyDate, .range(from: "20250101", to: "20251231")),
                (.modality, .equals("CT")), (.instanceNumber, .equals("5"))) == ["1.2.1.2"])
    }

    @Test("A patient with several names is found under each of them")
    func severalNames() throws {
        try catalog.add(Samples.instance(2, 1, 9, [.patientName: "Huber^Bob"]))
        #expect(try find(.patientName, .wildcard("MEIER*")) == [2])
        #expect(try find(.patientName, .wildcard("HUBER*")) == [2])
        #expect(try find(.patientName, .wildcard("*UBER*")) == [2])
        #expect(try find(.patientName, .wildcard("*BOB")) == [2])
    }

    @Test("Answers come in the order of first receipt, and no more than the limit")
    func orderAndLimit() throws {
        let catalog = try TestCatalog()
        let order = (1...500).map { ($0 * 271) % 503 }
        try catalog.apply(order.map { .instance(Samples.instance($0, 1, 1)) })
        let all = try catalog.find(.study, (.studyDate, .equals("20260105")))
        #expect(all == order.map { "1.\($0)" })
        #expect(try catalog.find(.study) == all)
        #expect(try catalog.find(.instance, (.patientID, .wildcard("P*"))).map { String($0.dropLast(4)) } == all)
        for limit in [0, 1, 199, 200, 201, 500, 501] {
            var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
            query.limit = limit
            #expect(try catalog.keys(query) == Array(all.prefix(limit)))
        }
        var taken = 0
        try CatalogReaders(path: catalog.path).find(CatalogQuery(level: .study, scope: .everything(as: "A"))) { _ in
            taken += 1
            return taken < 7
        }
        #expect(taken == 7)
    }
}

@Suite("Wildcards")
struct WildcardTests {
    private func matches(_ pattern: String, _ text: String) -> Bool {
        Array(pattern.utf8).withUnsafeBytes { pattern in
            Array(text.utf8).withUnsafeBytes { WildcardMatcher.matches(pattern, $0) }
        }
    }

    /// What the standard says, without any thought for speed.
    private func slowly(_ pattern: Substring, _ text: Substring) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        if first == "*" {
            return slowly(pattern.dropFirst(), text) || (!text.isEmpty && slowly(pattern, text.dropFirst()))
        }
        guard let letter = text.first, first == "?" || first == letter else { return false }
        return slowly(pattern.dropFirst(), text.dropFirst())
    }

    @Test("All short patterns match all short texts as the standard says")
    func exhaustive() {
        func strings(_ letters: [Character], _ maximum: Int) -> [String] {
            var all = [""]
            var last = [""]
            for _ in 0..<maximum {
                last = last.flatMap { text in letters.map { text + String($0) } }
                all += last
            }
            return all
        }
        let texts = strings(["a", "b", "ü"], 4)
        for pattern in strings(["a", "ü", "*", "?"], 4) {
            for text in texts where matches(pattern, text) != slowly(pattern[...], text[...]) {
                Issue.record("\(pattern) and \(text)")
            }
        }
    }

    @Test("Pathological patterns end fast")
    func pathological() {
        let pattern = String(repeating: "*?", count: 500) + "*b"
        let text = String(repeating: "a", count: 5000)
        for pattern in [pattern, String(repeating: "*a", count: 500) + "*b"] {
            var isMatch = true
            let elapsed = ContinuousClock().measure { isMatch = matches(pattern, text) }
            #expect(!isMatch && elapsed < .seconds(2))
        }
    }

    @Test(
        "A query with a pathological pattern ends fast",
        arguments: ["*?*?*?*?*?*?*?*?*?*?*?*?*?*?*Z", "*A*A*A*A*A*A*A*A*A*A*A*Z"])
    func pathologicalQuery(pattern: String) throws {
        let catalog = try TestCatalog()
        let name = String(repeating: "A", count: 64)
        try catalog.apply(
            (1...200).map { .instance(Samples.instance($0, 1, 1, [.patientName: name, .studyDescription: name])) })
        let start = ContinuousClock.now
        #expect(try catalog.find(.study, (.patientName, .wildcard(pattern))).isEmpty)
        #expect(try catalog.find(.study, (.studyDescription, .wildcard(pattern))).isEmpty)
        #expect(ContinuousClock.now - start < .seconds(2))
    }
}

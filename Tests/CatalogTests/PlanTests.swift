// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Catalog

/// The queries that are documented to be answered from an index, each at each level where it may be asked.
@Suite("Query plans")
struct PlanTests {
    private static let contentIndex =
        "study_content_value (organisation=? AND kind=? AND value=? AND date>? AND date<?)"
    private static let range = CatalogMatch.range(from: "20260101", to: "20260131")

    private static let table: [(String, [CatalogLevel], [(CatalogColumn, CatalogMatch)])] = [
        ("patient ID", [.patient, .study, .series, .instance], [(.patientID, .equals("P1"))]),
        (
            "patient ID with issuer", [.patient, .study],
            [(.patientID, .equals("P1")), (.issuerOfPatientID, .equals("X"))]
        ),
        ("patient ID prefix", [.patient, .study], [(.patientID, .wildcard("P1*"))]),
        ("name", [.patient, .study], [(.patientName, .equals("MEIER^BOB"))]),
        ("name prefix", [.patient, .study, .series, .instance], [(.patientName, .wildcard("MEIER*"))]),
        ("name infix", [.patient, .study, .series, .instance], [(.patientName, .wildcard("*EIER*"))]),
        ("name infix of two words", [.patient, .study, .instance], [(.patientName, .wildcard("*EIER^BOB*"))]),
        (
            "name prefix and birth date", [.patient, .study],
            [(.patientName, .wildcard("M*")), (.patientBirthDate, .equals("19700101"))]
        ),
        ("birth date", [.patient, .study], [(.patientBirthDate, .equals("19700101"))]),
        ("study date", [.study, .series], [(.studyDate, .equals("20260105"))]),
        ("study date range", [.study, .series, .instance], [(.studyDate, range)]),
        ("study date range and patient name", [.study], [(.studyDate, range), (.patientName, .wildcard("M*"))]),
        ("accession number", [.study, .series, .instance], [(.accessionNumber, .equals("A1"))]),
        ("accession number prefix", [.study], [(.accessionNumber, .wildcard("A1*"))]),
        ("study ID", [.study], [(.studyID, .equals("7"))]),
        ("referring physician", [.study], [(.referringPhysicianName, .wildcard("DOC*"))]),
        ("study UID", [.study, .series, .instance], [(.studyInstanceUID, .equals("1.1"))]),
        ("study UIDs", [.study, .series, .instance], [(.studyInstanceUID, .anyOf(["1.1", "1.2"]))]),
        ("series UID", [.series, .instance], [(.seriesInstanceUID, .equals("1.1.1"))]),
        (
            "study and series UID", [.series, .instance],
            [(.studyInstanceUID, .equals("1.1")), (.seriesInstanceUID, .equals("1.1.1"))]
        ),
        ("SOP instance UID", [.instance], [(.sopInstanceUID, .equals("1.1.1.1"))]),
        (
            "SOP instance UIDs of a study", [.instance],
            [(.studyInstanceUID, .equals("1.1")), (.sopInstanceUID, .anyOf(["1.1.1.1"]))]
        ),
        ("modality and date", [.series], [(.modality, .equals("CT")), (.studyDate, range)]),
        ("modality", [.series], [(.modality, .equals("CT"))]),
        (
            "patient ID and study UID", [.study, .series, .instance],
            [(.patientID, .equals("P1")), (.studyInstanceUID, .equals("1.1"))]
        ),
    ]

    private static let cases = table.flatMap { name, levels, conditions in
        levels.map { Case(name: name, level: $0, conditions: conditions) }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let level: CatalogLevel
        let conditions: [(CatalogColumn, CatalogMatch)]
        var testDescription: String { "\(name), \(level) level" }

        var query: CatalogQuery {
            var query = CatalogQuery(level: level, scope: .everything(as: "A"))
            query.conditions = conditions.map { CatalogCondition(column: $0.0, match: $0.1) }
            return query
        }
    }

    @Test("A documented query scans no table", arguments: cases)
    func documented(query: Case) throws {
        try expectNoScan(query.query)
    }

    @Test("A plan does not change when the catalog fills", arguments: [1, 300])
    func filled(count: Int) throws {
        let catalog = try TestCatalog()
        try catalog.apply((1...count).map { .instance(Samples.instance($0, 1, 1)) })
        for query in Self.cases { expectNoScan(try catalog.reader().plan(query.query), query.testDescription) }
    }

    @Test("Modality in study and date are answered by one index of both")
    func modalityInStudyAndDate() throws {
        var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
        query.modalitiesInStudy = .equals("CT")
        query.conditions = [CatalogCondition(column: .studyDate, match: Self.range)]
        let plan = try expectNoScan(query)
        #expect(plan.contains { $0.contains(Self.contentIndex) })
    }

    @Test("Modality and date at the series level begin with the date, not with all of the modality")
    func modalityAndDate() throws {
        let found = try #require(Self.cases.first { $0.name == "modality and date" })
        #expect(try expectNoScan(found.query).contains { $0.contains("study_date") })
    }

    @Test("A moment in time is answered by the date's index")
    func moment() throws {
        var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
        query.dateTimeRanges = [
            CatalogDateTimeRange(
                dateColumn: .studyDate, timeColumn: .studyTime, fromDate: "20260101", fromTime: "10",
                toDate: "20260102",
                toTime: "11")
        ]
        try expectNoScan(query)
    }

    @Test("Request attributes are answered by their indexes", arguments: [CatalogLevel.study, .series, .instance])
    func requests(level: CatalogLevel) throws {
        for field in [CatalogRequestField.requestedProcedureID, .scheduledProcedureStepID, .accessionNumber] {
            var query = CatalogQuery(level: level, scope: .everything(as: "A"))
            query.request = [(field, .equals("1"))]
            try expectNoScan(query)
        }
    }

    @Test("An infix of a name goes through its trigrams")
    func trigrams() throws {
        let found = try #require(Self.cases.first { $0.name == "name infix" })
        #expect(try expectNoScan(found.query).contains { $0.contains("name_word_trigram VIRTUAL TABLE INDEX") })
    }

    @Test("A part of a name that ends a word is looked up from its end", arguments: ["*EIER^BO*", "*R^*", "*EIER=*"])
    func ends(pattern: String) throws {
        var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
        query.conditions = [CatalogCondition(column: .patientName, match: .wildcard(pattern))]
        #expect(try expectNoScan(query).contains { $0.contains("name_word_reversed (reversed>? AND reversed<?)") })
    }

    @Test("Words of a fuzzy search are looked up, by who sees everything and who does not", arguments: [1, 2, 3])
    func fuzzyWords(count: Int) throws {
        for level in [CatalogLevel.patient, .study, .series] {
            for pattern in ["*EIER*", "EIER*", "*EIER^BOB*"] {
                for scope in [CatalogScope.everything(as: "A"), CatalogScope(organisation: "A", visible: ["B"])] {
                    var query = CatalogQuery(level: level, scope: scope)
                    query.conditions = [CatalogCondition(column: .patientName, match: .wildcard(pattern))]
                    query.fuzzyPatientWords = ["EIER", "BOB", "X"].dropLast(3 - count)
                    try expectNoScan(query)
                }
            }
        }
    }

    @Test("Neither does one of an organisation that sees its own, or others, or what is shared", arguments: cases)
    func scoped(query: Case) throws {
        let catalog = try TestCatalog()
        try catalog.add(Samples.instance(1, 1, 1, organisation: "A"), Samples.instance(2, 1, 1, organisation: "B"))
        var shared = CatalogScope(organisation: "A", visible: [])
        shared.sharedStudies = [CatalogScope.SharedStudy(studyInstanceUID: "1.2", organisation: "B")]
        for scope in [
            CatalogScope(organisation: "A", visible: []), CatalogScope(organisation: "A", visible: ["B"]), shared,
        ] {
            var query = query.query
            query.scope = scope
            // The list of what is shared is walked through: it is in the question itself.
            let plan = try catalog.plan(query).filter { !$0.contains("json_each") && !$0.hasPrefix("SCAN g ") }
            expectNoScan(plan, "\(scope)")
        }
    }

    @Test(
        "A list that nothing narrows begins with the organisation's own studies, or contents", arguments: [true, false])
    func ownList(hasContent: Bool) throws {
        let catalog = try TestCatalog()
        try catalog.add(Samples.instance(1, 1, 1, organisation: "A"))
        var query = CatalogQuery(level: .study, scope: CatalogScope(organisation: "A", visible: []))
        if hasContent { query.modalitiesInStudy = .equals("CT") }
        query.conditions = [CatalogCondition(column: .studyDate, match: Self.range)]
        let plan = try catalog.plan(query)
        let index =
            hasContent
            ? Self.contentIndex : "study_count_date (organisation=? AND date>? AND date<?)"
        #expect(plan.contains { $0.contains(index) }, "\(plan)")
    }

    @discardableResult
    private func expectNoScan(_ query: CatalogQuery) throws -> [String] {
        let plan = try TestCatalog().plan(query)
        expectNoScan(plan, "")
        return plan
    }

    private func expectNoScan(_ plan: [String], _ name: String) {
        #expect(!plan.isEmpty)
        // "SCAN name_word_trigram VIRTUAL TABLE INDEX" is how SQLite calls a look-up in the full-text index.
        let scans = plan.filter { $0.hasPrefix("SCAN") && !$0.contains("VIRTUAL TABLE INDEX") }
        #expect(scans == [], "\(name): \(plan)")
        // A bound that only says "id > 0" reads the whole table under the name of a search.
        #expect(!plan.contains { $0.contains("rowid>?") && !$0.contains("rowid=?") }, "\(name): \(plan)")
    }
}

extension TestCatalog {
    fileprivate func plan(_ query: CatalogQuery) throws -> [String] { try reader().plan(query) }
}

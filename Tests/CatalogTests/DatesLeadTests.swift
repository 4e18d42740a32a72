// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Catalog

@Suite("Searches that begin with their dates")
struct DatesLeadTests {
    /// 300 studies, few of them of the second day; some of two patients, some of a patient with many names.
    private static func catalog() throws -> TestCatalog {
        let catalog = try TestCatalog { $0 }
        for study in 1...300 {
            let values: [CatalogColumn: String] = [
                .patientID: study % 7 == 0 ? "0" : "P\(1000 + study)",
                .patientName: study % 7 == 0
                    ? "ANNA^N\(study)" : study % 3 == 0 ? "MEIER^ANNA" : "HUBER^BOB\(study % 5)",
                .studyDate: study % 30 == 0 ? "20260102" : "20260101",
                .studyDescription: study % 2 == 0 ? "CT HEAD" : "MR HEAD", .accessionNumber: "A\(5000 + study)",
            ]
            try catalog.add(Samples.instance(study, 1, 1, values))
            if study % 20 == 0 {
                var other = values
                (other[.patientID], other[.patientName]) = ("Q\(1000 + study)", "ANNA^OTHER")
                try catalog.add(Samples.instance(study, 1, 2, other))
            }
        }
        try catalog.apply([Samples.tombstone(.study, "1.90", instances: 1)])
        return catalog
    }

    private static let names: [(pattern: CatalogMatch, words: [String])] = [
        (.wildcard("*ANNA*"), []), (.wildcard("*NNA"), []), (.wildcard("*R^*"), []), (.wildcard("*ANNA*"), ["BOB"]),
        (.wildcard("ZZ*"), ["ANNA"]), (.equals("ZZ"), ["MEI", "ANNA"]), (.wildcard("*NN?^N*"), ["HUBER", "B"]),
        (.wildcard("*B?B*"), ["ANNA", "N21"]),
    ]

    @Test("They find what is of these dates among what is found without, under the same patient")
    func equivalence() throws {
        let catalog = try Self.catalog()
        let reader = try catalog.reader()
        let others: [[CatalogCondition]] = [
            [], [CatalogCondition(column: .studyDescription, match: .wildcard("*HEAD"))],
            [CatalogCondition(column: .patientID, match: .wildcard("*1*"))],
            [CatalogCondition(column: .accessionNumber, match: .wildcard("*51*"))],
        ]
        let names = Self.names + [(.wildcard("*"), [])]
        var led = 0
        var found = 0
        for (name, words) in names {
            for other in others {
                for date in [CatalogMatch.equals("20260102"), .range(from: "20260102", to: nil), .equals("20260101")] {
                    for modality in [nil, CatalogMatch.equals("CT")] {
                        var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
                        query.conditions = other + [CatalogCondition(column: .patientName, match: name)]
                        if case .wildcard("*") = name { query.conditions = other }
                        query.fuzzyPatientWords = words
                        query.modalitiesInStudy = modality
                        let all = try catalog.rows(query).filter { row in
                            let isSecond = row[.studyDate] == "20260102"
                            if case .equals("20260101") = date { return !isSecond }
                            return isSecond
                        }
                        query.conditions.append(CatalogCondition(column: .studyDate, match: date))
                        let rows = try catalog.rows(query)
                        let text = Comment(rawValue: "\(query.conditions) \(words)")
                        #expect(rows.map { $0[.studyInstanceUID] } == all.map { $0[.studyInstanceUID] }, text)
                        #expect(rows.map { $0[.patientID] } == all.map { $0[.patientID] }, text)
                        found += rows.count
                        let plan = try reader.plan(query)
                        if plan.contains(where: { $0.contains("t USING COVERING INDEX study_date") }) {
                            led += 1
                            // Not by the patients: one may have all the studies of an archive.
                            #expect(plan.contains { $0.contains("SEARCH s USING INDEX study_date") }, text)
                        }
                        // What is in conflict is looked through by an index of its own, and of less than three letters the words.
                        let scans = plan.filter {
                            $0.hasPrefix("SCAN") && !$0.contains("VIRTUAL TABLE") && !$0.contains("study_flags")
                                && !$0.contains("name_word_word")
                        }
                        #expect(scans == [], text)
                        // A description is that of half of them: it is not looked up where few have the date.
                        if !other.isEmpty, date == .equals("20260102") || date == .range(from: "20260102", to: nil) {
                            #expect(!plan.contains { $0.contains("study_gram") }, text)
                        }
                    }
                }
            }
        }
        #expect(led > 50)
        #expect(found > 1000)
    }

    @Test("A narrow condition leads, whatever the dates")
    func narrow() throws {
        let reader = try Self.catalog().reader()
        var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
        let date = CatalogCondition(column: .studyDate, match: .equals("20260102"))
        for (column, match, index) in [
            (.patientID, .wildcard("*1021*"), "study_gram VIRTUAL TABLE"),
            (.patientID, .equals("P1030"), "patient_key"), (.patientName, .wildcard("*OTHERS*"), "name_word_trigram"),
            (.patientName, .wildcard("HUBER*"), "patient_name_folded"),
        ] as [(CatalogColumn, CatalogMatch, String)] {
            query.conditions = [CatalogCondition(column: column, match: match), date]
            let plan = try reader.plan(query)
            #expect(plan.contains { $0.contains(index) }, "\(match): \(plan)")
            #expect(!plan.contains { $0.contains("t USING COVERING INDEX study_date") }, "\(match): \(plan)")
        }
    }
}

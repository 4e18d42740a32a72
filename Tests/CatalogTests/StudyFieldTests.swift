// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Catalog

@Suite("Grams of studies' texts")
struct StudyFieldTests {
    @Test("A study has the grams of each field under that field's letter")
    func ofStudy() {
        #expect(
            StudyField.words(of: ["Ab-12c", "x", "ab cd"])
                == "pab\u{AD}12 pb\u{AD}12c pab\u{AD} pb\u{AD}1 p\u{AD}12 p12c dab\u{A0} db\u{A0}c d\u{A0}cd ")
        #expect(StudyField.words(of: ["", "", ""]) == "")
    }

    @Test(
        "A pattern is looked for by its longest grams",
        arguments: [
            (.patientID, "*123456*", ["p12345", "p23456"]), (.patientID, "*1234*", ["p123", "p234"]),
            (.patientID, "*12?12345*12*", ["p12345"]), (.patientID, "*12*", []), (.patientID, "**", []),
            (.accessionNumber, "12345", ["a12345"]), (.description, "*Head*", ["dhea", "dead"]),
            (.description, "*иня\u{301}*", ["dиня", "dня\u{301}"]), (.patientID, "*\0\"\n*", ["p\u{80}\u{A2}\u{8A}"]),
        ] as [(StudyField, String, Set<String>)])
    func ofPattern(field: StudyField, pattern: String, words: Set<String>) {
        #expect(field.words(ofPattern: pattern) == words)
    }

    /// Every pattern against every text, as the matcher decides, with SQLite's own tokenizer between them.
    @Test("What is found by grams is what matches")
    func equivalence() throws {
        let columns: [CatalogColumn] = [.patientID, .accessionNumber, .studyDescription]
        var random = SystemRandomNumberGenerator()
        let letters = ["a", "A", "1", "1", "2", "-", " ", "\"", "И", "и", "\u{301}", "山", "^", "_", "😀", "\u{AD}"]
        func text(_ letters: [String], _ length: Int) -> String {
            (0..<length).map { _ in letters.randomElement(using: &random)! }.joined()
        }
        let catalog = try TestCatalog()
        // No text begins with a space, which DICOM does not tell from none.
        let texts = (1...200).map { _ in columns.map { _ in "1" + text(letters, .random(in: 0...11, using: &random)) } }
        for (study, texts) in texts.enumerated() {
            try catalog.add(
                Samples.instance(study + 1, 1, 1, Dictionary(uniqueKeysWithValues: zip(columns, texts))))
        }
        var found = 0
        for number in 0..<600 {
            let field = number % 3
            var pattern = text(letters + ["*", "?", "*"], .random(in: 1...7, using: &random))
            if number % 2 == 0 { pattern = String(texts.randomElement(using: &random)![field].dropFirst(2)) }
            pattern = "*" + pattern + "*"
            let expected = texts.indices.filter { WildcardMatcher.matches(pattern, texts[$0][field]) }
            let rows = try catalog.find(.study, (columns[field], .wildcard(pattern)))
            #expect(
                Set(rows) == Set(expected.map { "1.\($0 + 1)" }),
                "\(pattern.unicodeScalars.map { String($0.value, radix: 16) })")
            found += rows.count
        }
        #expect(found > 300)
    }

    /// The index is told what it had of a study, byte for byte, or it keeps it.
    @Test("Nothing is left of studies that are deleted for good, or become another patient's")
    func forgotten() throws {
        let catalog = try TestCatalog()
        let values: [[CatalogColumn: String]] = [
            [:], [.patientID: "A-1 \"x\" ПЁ\u{301}\0z", .accessionNumber: "", .studyDescription: "CT Kopf\nÄ😀"],
            [.patientID: "", .accessionNumber: "12345678"],
        ]
        for (study, values) in values.enumerated() {
            try catalog.add(Samples.instance(study + 1, 1, 1, values))
            // Another patient's, who stays.
            try catalog.add(Samples.instance(study + 1, 1, 2, [.patientID: "OTHER\(study)"]))
        }
        func words() throws -> [String] { try catalog.dump().filter { $0.hasPrefix("study_gram") } }
        #expect(try words().count > 30)
        for study in 1...3 { try purge(.instance, "1.\(study).1.1", catalog) }
        for study in 0..<3 {
            #expect(try catalog.find(.study, (.patientID, .wildcard("*THER\(study)*"))) == ["1.\(study + 1)"])
        }
        #expect(try catalog.find(.study, (.patientID, .wildcard("*\"x\"*"))).isEmpty)
        for study in 1...3 { try purge(.study, "1.\(study)", catalog) }
        #expect(try words() == [])
    }

    private func purge(_ level: CatalogLevel, _ uid: String, _ catalog: TestCatalog) throws {
        try catalog.apply([Samples.tombstone(level, uid, instances: 1)])
        try catalog.apply([Samples.purge(catalog.sequence)])
    }

    @Test("How many match is told from a sample, whatever has been deleted between")
    func sample() throws {
        let catalog = try TestCatalog()
        try catalog.apply(
            (1...500).map { .instance(Samples.instance($0, 1, 1, [.studyDescription: $0 % 2 == 0 ? "THIS" : "OTHER"])) }
        )
        for study in stride(from: 1, to: 500, by: 2) { try purge(.study, "1.\(study)", catalog) }
        let sample = GramSample(.studies)
        let reader = try catalog.reader()
        // 250 of them do, and it says so of half as many.
        for (number, isMore) in [(100, true), (124, true), (126, false), (200, false)] {
            #expect(try sample.matchesMore(than: number, "*HIS*", .description, in: reader.database) == isMore)
        }
        #expect(try !sample.matchesMore(than: 1, "*HER*", .description, in: reader.database))
    }
}

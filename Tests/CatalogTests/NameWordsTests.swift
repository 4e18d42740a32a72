// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Catalog

@Suite("Words of names")
struct NameWordsTests {
    @Test(
        "Names are parted as people do, each word told once",
        arguments: [
            ("иванов^петр=ivanov^petr", ["иванов", "петр", "ivanov", "petr"]),
            ("o'brien smith-jones", ["o'brien", "smith", "jones"]),
            ("a^b a=b", ["a", "b"]), ("^^ ", []), ("", []), ("山田^太郎", ["山田", "太郎"]), ("x\u{301}y", ["x\u{301}y"]),
            ("a\0b\u{7F}c", ["a", "b", "c"]), ("n2 ii.", ["n2", "ii"]),
        ])
    func split(name: String, words: [String]) { #expect(NameWords.split(name) == words) }

    @Test(
        "The longest part of a pattern stands in front",
        arguments: [
            ("*nov*", "*nov*", true), ("**nov**", "*nov*", true), ("*nov", "*nov", false), ("*nov^*", "*nov", false),
            ("*^iv*", "iv*", false), ("*ov^ivan^*", "ivan", false), ("*no?ov*", "*no*", false),
            ("?nov*", "*nov*", false),
            ("*a*bcd*", "*bcd*", false), ("*bcd*^*", "*bcd*", false),
        ])
    func part(pattern: String, word: String, decides: Bool) throws {
        let part = try #require(NamePattern.parts(of: pattern).first)
        #expect(part.word == word)
        #expect(part.decides == decides)
    }

    @Test("Of a pattern of thousands of words a few are looked for")
    func manyParts() throws {
        let pattern = "*" + String(repeating: "ab^", count: 20_000) + "abc^a*"
        #expect(NamePattern.parts(of: pattern).map(\.text) == ["abc", "ab", "ab", "ab"])
    }

    @Test("Lists of common words put together are what looking at those of the first gives")
    func commonWords() throws {
        let catalog = try TestCatalog { $0 }
        for study in 1...120 {
            let name = ["ANNA^MEI", "MEI^OTTO", "ANNA^OTTO", "MEIER^ANNA^OTTO"][study % 4]
            let patient = study % 10 == 0 ? "MANY" : "P\(study)"
            try catalog.add(Samples.instance(study, 1, 1, [.patientID: patient, .patientName: "\(name)^X\(study)"]))
        }
        let database = try catalog.reader().database
        for words in [["ANNA", "MEI"], ["MEI", "OTTO", "ANNA"], ["X1", "ANNA"], ["OTTO", "NOBODY"]] {
            var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
            query.conditions = [CatalogCondition(column: .patientName, match: .wildcard("ZZ*"))]
            query.fuzzyPatientWords = words
            let rows = try [false, true].map { hasRareWord in
                let statement = try #require(QueryBuilder(query, hasRareWord: hasRareWord).nameStatement())
                var rows: Set<[Int64]> = []
                try database.statement(statement.sql).forEach(statement.values) { row throws(CatalogError) in
                    rows.insert([row.integer(0), row.integer(1)])
                    return true
                }
                return rows
            }
            #expect(rows[0] == rows[1])
            #expect(rows[0].isEmpty == words.contains("NOBODY"))
        }
    }

    @Test("A study of two patients who both match comes once where studies are walked through")
    func walkedConflict() throws {
        let catalog = try TestCatalog()
        // A sample must show that many match.
        for study in 1...150 {
            try catalog.add(
                Samples.instance(study, 1, 1, [.patientID: "P1\(study)"]),
                Samples.instance(study, 1, 2, [.patientID: study % 2 == 0 ? "Q1\(study)" : "OTHER"]))
        }
        var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
        query.conditions = [CatalogCondition(column: .patientID, match: .wildcard("*1*"))]
        (query.offset, query.limit) = (2, 6)
        let readers = try CatalogReaders(path: catalog.path)
        let page = try readers.page(query, countingUpTo: 1)
        // Not all were counted, so they were walked through.
        #expect(page.total == 1)
        var found: [String] = []
        try readers.rows(page) { row in
            found.append(row[.patientID] ?? "")
            return true
        }
        #expect(found == (3...8).map { "P1\($0)" })
    }

    @Test("Two conditions on a name must both hold")
    func twoConditions() throws {
        let catalog = try TestCatalog()
        for (study, name) in [(1, "IVANOV^PETR"), (2, "IVANOV^ANNA")] {
            try catalog.add(Samples.instance(study, 1, 1, [.patientName: name]))
        }
        let all = (CatalogColumn.patientName, CatalogMatch.wildcard("*IVAN*"))
        #expect(try catalog.find(.study, all) == ["1.1", "1.2"])
        #expect(try catalog.find(.study, (.patientName, .equals("IVANOV^PETR")), all) == ["1.1"])
        #expect(try catalog.find(.study, all, (.patientName, .wildcard("*ANNA"))) == ["1.2"])
    }

    @Test("Where a part stands is told by scalars: one letter makes one character with the asterisk behind it")
    func places() {
        let places = ["*A*", "*A", "A*", "A", "*\u{0D4E}*", "*\u{301}", "*A^B*"].map { pattern in
            NamePattern.parts(of: pattern).map(\.place)
        }
        #expect(places == [[.anywhere], [.end], [.beginning], [.beginning], [.anywhere], [.end], [.end, .beginning]])
    }

    @Test("A pattern without a letter has none", arguments: ["", "*", "*^*", "?", "*=*?"])
    func none(pattern: String) { #expect(NamePattern.parts(of: pattern).isEmpty) }

    /// Every pattern against every name, as the matcher decides.
    @Test("What is found by words is what matches", arguments: [nil, "A"] as [String?])
    func equivalence(organisation: String?) throws {
        var random = SystemRandomNumberGenerator()
        func text(_ letters: [String], _ length: Int) -> String {
            (0..<length).map { _ in letters.randomElement(using: &random)! }.joined()
        }
        let catalog = try TestCatalog()
        let letters = ["a", "b", "a", "b", "И", "'", "^", " ", "-", "=", "\u{301}", "\"", "山"]
        var names: [(study: Int, organisation: String, name: String)] = []
        for study in 1...200 {
            // Some studies have a second patient, some patients two names, of which one may be another's.
            for number in 1...(study % 5 == 0 ? 2 : 1) {
                names.append(
                    (
                        study, ["A", "B"].randomElement(using: &random)!,
                        text(letters, .random(in: 1...9, using: &random))
                    ))
                let (_, organisation, name) = names.last!
                try catalog.add(
                    Samples.instance(
                        study, 1, number, organisation: organisation,
                        [.patientName: name, .patientID: study % 10 == 0 ? "P\(study)-\(number)" : "P\(study)"]))
            }
        }
        let reader = try catalog.reader()
        for _ in 0..<600 {
            let inner = text(letters + ["*", "?"], .random(in: 1...5, using: &random))
            let pattern = ["*\(inner)*", "*\(inner)", "?\(inner)*"].randomElement(using: &random)!
            var query = CatalogQuery(
                level: .study,
                scope: organisation.map { CatalogScope(organisation: $0, visible: []) } ?? .everything(as: "A"))
            query.conditions = [CatalogCondition(column: .patientName, match: .wildcard(pattern))]
            let expected = Set(
                names.filter { name in
                    let folded = name.name.uppercased()
                    let forms = [folded] + folded.unicodeScalars.split(separator: "=").map { String($0) }
                    return (organisation == nil || name.organisation == organisation)
                        && forms.contains { WildcardMatcher.matches(pattern.uppercased(), $0) }
                }.map { "1.\($0.study)" })
            query.conditions = [CatalogCondition(column: .patientName, match: .wildcard(pattern.uppercased()))]
            query.limit = 1000
            let found = Set(try catalog.keys(query))
            let wrong = names.filter { found.symmetricDifference(expected).contains("1.\($0.study)") }
            #expect(wrong.isEmpty, "\(pattern.debugDescription)")
            let page = try reader.page(query, countingUpTo: 10_000)
            #expect(page.total == expected.count, "\(pattern)")
        }
    }

    /// Every search for words, with a pattern or none beside them, against every patient. Some have many names.
    @Test("What is found by several words is who has all of them", arguments: [nil, "A"] as [String?])
    func severalWords(organisation: String?) throws {
        var random = SystemRandomNumberGenerator()
        let words = ["ABE", "ABI", "BEA", "CAB", "DAB", "ACE", "AB", "B"]
        let catalog = try TestCatalog { $0 }
        var names: [(patient: Int, organisation: String, name: String)] = []
        var studies: [(study: Int, patient: Int, organisation: String)] = []
        for study in 1...150 {
            let patient = Int.random(in: 1...60, using: &random)
            for number in 1...(patient <= 3 ? 12 : .random(in: 1...2, using: &random)) {
                // Some studies have two patients.
                let patient = study % 9 == 0 && number == 2 ? patient % 60 + 1 : patient
                let name = (1...3).map { _ in words.randomElement(using: &random)! }.joined(separator: "^")
                // The many names of some patients have a word that no other has.
                let form = patient <= 3 ? "\(name)^N\(study)X\(number)" : name
                let sender = ["A", "B"].randomElement(using: &random)!
                names.append((patient, sender, form))
                studies.append((study, patient, sender))
                try catalog.add(
                    Samples.instance(
                        study, 1, number, organisation: sender, [.patientID: "P\(patient)", .patientName: form]))
            }
        }
        #expect(try catalog.miscounted() == [])
        let seenNames = names.filter { organisation == nil || $0.organisation == organisation }
        let seenStudies = studies.filter { organisation == nil || $0.organisation == organisation }
        let wordsOf = Dictionary(grouping: seenNames, by: \.patient).mapValues {
            $0.flatMap { NameWords.split($0.name) }
        }
        var found = 0
        let readers = try CatalogReaders(path: catalog.path)
        for number in 0..<300 {
            var query = CatalogQuery(
                level: .study,
                scope: organisation.map { CatalogScope(organisation: $0, visible: []) } ?? .everything(as: "A"))
            let asked = (0..<(1 + number % 3)).map { _ in
                let word = (words + ["N\(Int.random(in: 1...150, using: &random))"]).randomElement(using: &random)!
                return String(word.prefix(.random(in: 1...3, using: &random)))
            }
            query.fuzzyPatientWords = Array(Set(asked)).sorted()
            let pattern = ["*A^B*", "*E^*^B*", "A*", "*ABE*", "*BI^C*^D*", "*^*B^AC*", "ABE^*E*"].randomElement(
                using: &random)!
            query.conditions = [CatalogCondition(column: .patientName, match: .wildcard(pattern))]
            let patients = Set(
                wordsOf.filter { patient in
                    query.fuzzyPatientWords.allSatisfy { word in patient.value.contains { $0.hasPrefix(word) } }
                }.map(\.key)
                    + seenNames.filter { WildcardMatcher.matches(pattern, $0.name) }.map(\.patient))
            let expected = Set(seenStudies.filter { patients.contains($0.patient) }.map { "1.\($0.study)" })
            let all = try catalog.keys(query)
            #expect(Set(all) == expected, "\(pattern) \(query.fuzzyPatientWords)")
            (query.offset, query.limit) = (3, 10)
            for maximum in [1, 10_000] {
                let page = try readers.page(query, countingUpTo: maximum)
                var keys: [String] = []
                try readers.rows(page) { row in
                    keys.append(row[.studyInstanceUID] ?? "")
                    return true
                }
                #expect(keys == Array(all.dropFirst(3).prefix(10)), "\(pattern) \(query.fuzzyPatientWords)")
            }
            found += expected.count
        }
        #expect(found > 1000)
    }

    /// So many match the pattern that the studies are walked through; those of words that are alike are looked up apart, or,
    /// where there are too many such words, held against each study.
    @Test("Pages of a fuzzy search that much matches are those of the whole answer", arguments: ["KARAV", "K"])
    func walkedFuzzily(word: String) throws {
        let catalog = try TestCatalog { $0.replacing("O", with: "A") }
        for study in 1...500 {
            // Each has a word of its own, so that hundreds begin with K; "SMITH" by itself is not found.
            let name =
                switch study % 10 {
                case 0, 1, 2, 3, 4: "TOROV^K\(study)X"
                case 5: "KAROV^\(study)"
                case 6: "KOROVA^\(study)"
                default: study % 3 == 0 ? "SMITH^K\(study)Y" : "SMITH^\(study)"
                }
            // One patient has so many names that they stand for all its studies.
            let patient = study % 10 == 8 ? "MANY" : "P\(study)"
            try catalog.add(Samples.instance(study, 1, 1, [.patientID: patient, .patientName: name]))
            if study % 50 == 6 {
                try catalog.add(Samples.instance(study, 1, 2, [.patientID: "OTHER\(study)", .patientName: "TOROV^X"]))
            }
        }
        for study in [5, 6, 12, 15] { try catalog.apply([Samples.tombstone(.study, "1.\(study)", instances: 1)]) }
        try catalog.add(Samples.instance(498, 1, 2, [.patientID: "MANY", .patientName: "KOROVINA"]))
        var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
        query.conditions = [CatalogCondition(column: .patientName, match: .wildcard("*OROV*"))]
        let plain = try catalog.keys(query)
        query.fuzzyPatientWords = [word]
        let all = try catalog.keys(query)
        #expect(all.count > plain.count + 40)
        let readers = try CatalogReaders(path: catalog.path)
        for (offset, limit) in [(0, 1), (0, 20), (7, 30), (100, 101), (250, 200), (0, 1000)] {
            (query.offset, query.limit) = (offset, limit)
            let page = try readers.page(query, countingUpTo: 1)
            var keys: [String] = []
            try readers.rows(page) { row in
                keys.append(row[.studyInstanceUID] ?? "")
                return true
            }
            #expect(keys == Array(all.dropFirst(offset).prefix(limit)), "\(offset) \(limit)")
        }
    }

    /// "0" and "ANONYMOUS" are the ids of many people.
    @Test("A patient with as many names as studies is found by each, and costs no square of them")
    func manyNames() throws {
        let catalog = try TestCatalog()
        for number in 1...60 {
            try catalog.add(
                Samples.instance(
                    number, 1, 1, organisation: number % 7 == 0 ? "B" : "A",
                    [.patientID: "0", .patientName: "NAME\(number)X^GIVEN"]))
        }
        #expect(try catalog.miscounted() == [])
        #expect(try Int(catalog.select("SELECT count(*) FROM study_word")[0])! < 60 * 2 * 20)
        let all = try catalog.find(.study, (.patientName, .wildcard("*GIVEN*")))
        #expect(all.count == 60)
        for number in [1, 16, 17, 59, 60] {
            // All of them are the patient's, whatever each says.
            #expect(try catalog.find(.study, (.patientName, .wildcard("*AME\(number)X*"))).count == 60)
            #expect(try catalog.find(.study, (.patientName, .wildcard("*AME\(number)X^G*"))).count == 60)
        }
        var query = CatalogQuery(level: .study, scope: CatalogScope(organisation: "B", visible: []))
        query.conditions = [CatalogCondition(column: .patientName, match: .wildcard("*AME59X*"))]
        #expect(try catalog.keys(query) == [])
        query.conditions = [CatalogCondition(column: .patientName, match: .wildcard("*AME56X*"))]
        #expect(try catalog.keys(query).count == 8)
        for number in 1...60 where number % 3 > 0 {
            try catalog.apply([Samples.tombstone(.study, "1.\(number)", instances: 1)])
            try catalog.apply([Samples.purge(catalog.sequence)])
        }
        #expect(try catalog.miscounted() == [])
        #expect(try catalog.find(.study, (.patientName, .wildcard("*AME60X*"))).count == 20)
        for number in 1...20 {
            try catalog.apply([Samples.tombstone(.study, "1.\(number * 3)", instances: 1)])
            try catalog.apply([Samples.purge(catalog.sequence)])
        }
        #expect(try catalog.miscounted() == [])
        #expect(try catalog.select("SELECT count(*) FROM name_word") == ["0"])
    }

    @Test("Names of hundreds of words cost their words once, not once for each study")
    func longNames() throws {
        let catalog = try TestCatalog()
        for number in 1...40 {
            let name = (0..<400).map { "W\($0)N\(number % 8)" }.joined(separator: " ")
            try catalog.add(Samples.instance(number, 1, 1, [.patientID: "1", .patientName: name]))
        }
        #expect(try catalog.select("SELECT count(*) FROM study_word") == ["3200"])
        #expect(try catalog.miscounted() == [])
        #expect(try catalog.find(.study, (.patientName, .wildcard("*W399N3*"))).count == 40)
        #expect(try catalog.find(.study, (.patientName, .wildcard("*W7N3 W8N3*"))).count == 40)
    }

    @Test("A letter that is the same to Swift, but not as bytes, is another word")
    func canonicalEquivalence() throws {
        #expect("\u{674E}" == "\u{F9E1}")
        #expect(NameWords.split("\u{674E}^\u{F9E1}").count == 2)
        let catalog = try TestCatalog()
        try catalog.add(
            Samples.instance(1, 1, 1, [.patientName: "\u{674E}^A"]),
            Samples.instance(2, 1, 1, [.patientName: "\u{F9E1}^A"]),
            // The same patient once more, under the other letter.
            Samples.instance(3, 1, 1, [.patientID: "P1", .patientName: "\u{F9E1}^A"]))
        #expect(try catalog.find(.study, (.patientName, .wildcard("*\u{674E}*"))) == ["1.1", "1.3"])
        #expect(try catalog.find(.study, (.patientName, .wildcard("*\u{F9E1}*"))) == ["1.1", "1.2", "1.3"])
        #expect(try catalog.miscounted() == [])
    }

    @Test("Words of names that are deleted for good are gone, and those of others stay")
    func forgotten() throws {
        let catalog = try TestCatalog()
        try catalog.add(
            Samples.instance(1, 1, 1, [.patientName: "SOLE^ANNA"]),
            Samples.instance(2, 1, 1, [.patientName: "MEIER^ANNA"]))
        try catalog.apply([Samples.tombstone(.study, "1.1", instances: 1)])
        try catalog.apply([Samples.purge(catalog.sequence)])
        #expect(try catalog.select("SELECT word FROM name_word ORDER BY word") == ["ANNA", "MEIER"])
        #expect(try catalog.find(.study, (.patientName, .wildcard("*SOLE*"))) == [])
        // The number of the word that went is another's now.
        try catalog.add(Samples.instance(3, 1, 1, [.patientName: "OTHER^SOLE"]))
        #expect(try catalog.find(.study, (.patientName, .wildcard("*SOLE*"))) == ["1.3"])
        #expect(try catalog.find(.study, (.patientName, .wildcard("*THE*"))) == ["1.3"])
        #expect(try catalog.find(.study, (.patientName, .wildcard("*NNA*"))) == ["1.2"])
    }
}

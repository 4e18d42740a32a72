// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Catalog

/// Scoped questions against an oracle that knows the events alone: what is found, counted, told and given, at each level.
@Suite("What an organisation sees")
struct ScopeTests {
    private static let organisations = ["A", "B", "C", "D"]

    private static let scopes: [CatalogScope] = {
        func share(_ study: Int, _ organisation: String) -> CatalogScope.SharedStudy {
            CatalogScope.SharedStudy(studyInstanceUID: "1.\(study)", organisation: organisation)
        }
        var shared = CatalogScope(organisation: "A", visible: [])
        shared.sharedStudies = [share(1, "B"), share(3, "C"), share(9, "C"), share(2, "nobody")]
        var stranger = CatalogScope(organisation: "stranger", visible: [])
        stranger.sharedStudies = [share(2, "A")]
        return [
            .everything(as: "A"), CatalogScope(organisation: "A", visible: []),
            CatalogScope(organisation: "B", visible: ["A"]), CatalogScope(organisation: "C", visible: ["B", "D"]),
            CatalogScope(organisation: "D", visible: ["A", "B", "C"]), shared, stranger,
            CatalogScope(organisation: "stranger", visible: ["nobody"]),
        ]
    }()

    /// The same archive each time for a seed.
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    /// An instance whose values all follow from its UID and `variant`.
    private static func instance(
        _ study: Int, _ series: Int, _ number: Int, _ variant: Int, _ organisation: String
    ) -> CatalogInstance {
        let request = CatalogRequest(
            requestedProcedureID: "R\(variant)", scheduledProcedureStepID: "", accessionNumber: "",
            requestedProcedureDescription: "", scheduledProcedureStepDescription: "")
        return Samples.instance(
            study, series, number, organisation: organisation, content: variant,
            [
                .patientID: "P\(variant == 3 ? 3 : study % 3)", .patientName: "NAME\(variant % 2)^X",
                .patientBirthDate: "1970010\(1 + variant / 2)", .studyDate: "2026010\(1 + variant % 2)",
                .studyDescription: "Study \(variant)", .accessionNumber: "A\(study)\(variant / 2)",
                .modality: variant == 2 ? "MR" : "CT", .seriesDescription: "Series \(variant / 2)",
                .instanceNumber: "\(number + variant)", .sopClassUID: "1.2.\(variant % 3)",
            ], requests: [request])
    }

    private struct World {
        let catalog: TestCatalog
        var oracle = ScopeOracle()
        var events: [CatalogEvent] = []

        /// - Parameter heals: some content is found damaged, and is replaced by who sends it or by the archive itself.
        init(_ seed: UInt64, events: Int, heals: Bool = false) throws {
            catalog = try TestCatalog { $0 }
            var random = Random(state: seed)
            var sequence: UInt64 = 0
            var tombstones: [UInt64] = []
            for _ in 0..<events {
                sequence += 1
                let made = Self.event(&random, oracle, tombstones)
                let event = (heals ? Self.healing(made, &random, self.events) : made).numbered(sequence)
                if case .tombstone = event { tombstones.append(sequence) }
                // As the archive numbers and hands over.
                try catalog.apply([event])
                if !event.isOwnCopy { oracle.apply(heals ? made.numbered(sequence) : event) }
                self.events.append(event)
            }
        }

        /// What comes again is in every third case new bytes for damaged ones: to who sends it that makes no difference.
        private static func healing(
            _ event: CatalogEvent, _ random: inout Random, _ events: [CatalogEvent]
        ) -> CatalogEvent {
            guard case .sighting(let sighting) = event, Int.random(in: 0..<3, using: &random) == 0 else { return event }
            let first = events.lazy.compactMap { event -> CatalogInstance? in
                if case .instance(let instance) = event, instance.blobID == sighting.blobID { instance } else { nil }
            }.first!
            var healing = first
            healing.flags |= 2
            healing.isOwnCopy = Bool.random(using: &random)
            if !healing.isOwnCopy { healing.source = sighting.source }
            return .instance(healing)
        }

        private static func event(
            _ random: inout Random, _ oracle: ScopeOracle, _ tombstones: [UInt64]
        ) -> CatalogEvent {
            let study = Int.random(in: 1...4, using: &random)
            let series = Int.random(in: 1...2, using: &random)
            let number = Int.random(in: 1...2, using: &random)
            let roll = Int.random(in: 0..<20, using: &random)
            if roll == 5 || roll == 6 {
                let owner = organisations.randomElement(using: &random)!
                return roll == 5
                    ? Samples.tombstone(.study, "1.\(study)", organisation: owner, isOwnOnly: true)
                    : Samples.tombstone(
                        .instance, "1.\(study).\(series).\(number)", organisation: owner, isOwnOnly: true)
            }
            if roll == 0 { return Samples.tombstone(.study, "1.\(study)") }
            if roll == 1 { return Samples.tombstone(.instance, "1.\(study).\(series).\(number)") }
            if roll == 2 { return Samples.tombstone(.series, "1.\(study).\(series)", study: "1.\(study)") }
            if roll == 3, let last = tombstones.randomElement(using: &random) { return Samples.undelete(last) }
            if roll == 4, let last = tombstones.randomElement(using: &random) { return Samples.purge(last) }
            // Mostly the same content from everybody.
            let variant = [0, 0, 0, 1, 2, 3].randomElement(using: &random)!
            let organisation = organisations.randomElement(using: &random)!
            let made = instance(study, series, number, variant, organisation)
            let isStored = oracle.instances.contains { $0.versions.contains { $0.content.blobID == made.blobID } }
            return isStored ? Samples.sighting(of: made, organisation: organisation) : .instance(made)
        }
    }

    // MARK: Questions

    struct Question: Sendable {
        var text: String
        var level: CatalogLevel
        var conditions: [(CatalogColumn, CatalogMatch)] = []
        var modalities: CatalogMatch?
        var classes: CatalogMatch?
        var request: String?
        var fuzzy: [String] = []

        func query(_ scope: CatalogScope) -> CatalogQuery {
            var query = CatalogQuery(level: level, scope: scope)
            query.conditions = conditions.map { CatalogCondition(column: $0.0, match: $0.1) }
            query.modalitiesInStudy = modalities
            query.sopClassesInStudy = classes
            query.fuzzyPatientWords = fuzzy
            if let request { query.request = [(.requestedProcedureID, .equals(request))] }
            return query
        }
    }

    private static let questions: [Question] = {
        let columns: [(CatalogColumn, [CatalogMatch])] = [
            (.patientID, [.equals("P1"), .wildcard("P*"), .wildcard("*1")]),
            (.patientName, [.equals("NAME1^X"), .wildcard("NAME0*"), .wildcard("*ME1^X"), .wildcard("*ME1*")]),
            (.patientBirthDate, [.equals("19700102")]), (.studyInstanceUID, [.equals("1.1"), .anyOf(["1.2", "1.3"])]),
            (.studyDate, [.equals("20260102"), .range(from: "20260101", to: "20260101")]),
            (.accessionNumber, [.equals("A10"), .wildcard("*1")]),
            (.studyDescription, [.equals("Study 2"), .wildcard("*udy 1")]), (.modality, [.equals("MR")]),
            (.seriesDescription, [.equals("Series 1")]), (.seriesInstanceUID, [.equals("1.1.1")]),
            (.instanceNumber, [.equals("3")]), (.sopInstanceUID, [.equals("1.1.1.1")]),
            (.sopClassUID, [.equals("1.2.2")]),
        ]
        var all: [Question] = []
        for level in [CatalogLevel.patient, .study, .series, .instance] {
            all.append(Question(text: "all", level: level))
            for (column, matches) in columns where column.level <= level {
                for match in matches {
                    all.append(Question(text: "\(column) \(match)", level: level, conditions: [(column, match)]))
                    if column.level > .patient, column != .studyDate {
                        all.append(
                            Question(
                                text: "\(column) \(match), name, date", level: level,
                                conditions: [
                                    (column, match), (.patientName, .wildcard("NAME0*")),
                                    (.studyDate, .equals("20260101")),
                                ]))
                    }
                }
            }
            for (pattern, words) in [
                ("*ME0*", ["NAME1"]), ("ZZ*", ["NAME0", "X"]), ("*ME1^X", ["N", "NAME0", "NAME1"]), ("ZZ*", ["NAME"]),
            ] {
                all.append(
                    Question(
                        text: "\(pattern) or the words \(words)", level: level,
                        conditions: [(.patientName, .wildcard(pattern))], fuzzy: words))
            }
            all.append(
                Question(
                    text: "birth date and ID", level: level,
                    conditions: [(.patientBirthDate, .equals("19700101")), (.patientID, .equals("P1"))]))
            guard level > .patient else { continue }
            all.append(Question(text: "modality in study", level: level, modalities: .equals("MR")))
            all.append(
                Question(
                    text: "modality in study and date", level: level, conditions: [(.studyDate, .equals("20260101"))],
                    modalities: .equals("CT")))
            all.append(
                Question(
                    text: "modality in study and ID", level: level, conditions: [(.patientID, .equals("P1"))],
                    modalities: .equals("MR"), classes: .equals("1.2.1")))
            all.append(Question(text: "class in study", level: level, classes: .anyOf(["1.2.1", "1.2.2"])))
            all.append(Question(text: "request", level: level, request: "R1"))
        }
        return all
    }()

    /// Two in which somebody sends again what it had deleted for good, and as many worlds as `SNIMOK_SCOPE_SEEDS` says; each
    /// takes a second or two without optimisation.
    private static let seeds =
        [2667, 3279] + Array(1...(ProcessInfo.processInfo.environment["SNIMOK_SCOPE_SEEDS"].flatMap(Int.init) ?? 10))

    @Test("Rows, counts, contents, values and versions are those of what is seen", arguments: seeds)
    func random(seed: Int) throws {
        let world = try World(UInt64(seed), events: 20 + 4 * (seed % 10))
        #expect(try world.catalog.miscounted() == [])
        let readers = try CatalogReaders(path: world.catalog.path)
        for scope in Self.scopes {
            for question in Self.questions {
                let query = question.query(scope)
                let expected = world.oracle.rows(question, scope)
                var found: [String: ScopeOracle.Expected] = [:]
                var order: [String] = []
                var values: [String: [String?]] = [:]
                var unknown: [String: Set<CatalogLevel>] = [:]
                try readers.find(query) { row in
                    let key = Self.key(row, question.level)
                    values[key] = CatalogColumn.allCases.map { row[$0] }
                    unknown[key] = row.unknownLevels
                    order.append(key)
                    found[key] = Self.told(row, question.level, scope)
                    return true
                }
                let name = Comment(rawValue: "seed \(seed), \(scope), \(question.level) by \(question.text)")
                #expect(order.count == found.count, name)
                #expect(Set(found.keys) == Set(expected.keys), name)
                for (key, row) in expected {
                    guard var told = found[key] else { continue }
                    // Whose instance answers for a patient is another question for who sees everything.
                    if question.level == .patient, scope.visible == nil { told.representative = row.representative }
                    #expect(told == row, "\(name): \(key)")
                }
                // What is not asked for is left out, and nothing else.
                var plain = query
                (plain.countsPatients, plain.needsContents, plain.needsRepresentative) = (false, false, false)
                var plainOrder: [String] = []
                try readers.find(plain) { row in
                    let key = Self.key(row, question.level)
                    plainOrder.append(key)
                    #expect(row.unknownLevels == unknown[key], "\(name): \(key)")
                    #expect(CatalogColumn.allCases.map { row[$0] } == values[key], "\(name): \(key)")
                    if scope.visible != nil {
                        #expect(row.numberOfPatientRelatedStudies == 0 && row.modalitiesInStudy == [], name)
                    }
                    return true
                }
                #expect(plainOrder == order, name)
                // A page with its total, as QIDO-RS asks for it.
                var paged = query
                (paged.offset, paged.limit) = (1, 2)
                let page = try readers.page(paged, countingUpTo: 10_001)
                #expect(page.total == order.count, name)
                var keys: [String] = []
                try readers.rows(page) { row in
                    keys.append(Self.key(row, question.level))
                    return true
                }
                #expect(keys == Array(order.dropFirst().prefix(2)), name)
                // As if so many matched that the studies are walked through.
                let walked = try readers.page(paged, countingUpTo: 1)
                keys = []
                try readers.rows(walked) { row in
                    keys.append(Self.key(row, question.level))
                    return true
                }
                // By the index of dates what is hidden counts, too, for who sees everything.
                if scope.visible != nil { #expect(walked.total == min(1, order.count), name) }
                #expect(keys == Array(order.dropFirst().prefix(2)), name)
            }
            try selections(world, scope)
        }
    }

    /// A compaction takes the records that are garbage; a catalog that is made anew from the others gives everybody the same.
    @Test("What was compacted away is missed by nothing else", arguments: Array(1...40))
    func compacted(seed: Int) throws {
        let world = try World(UInt64(seed), events: 100)
        let garbage = try world.catalog.reader().garbage(writer: 1, segment: 1)
        try expectTheSame(
            world,
            by: world.events.filter { event in
                guard case .instance(let instance) = event else { return true }
                return garbage[instance.location.offset] == nil
            })
    }

    /// Of what was replaced compaction leaves who sent it when; a catalog made anew has the content from its replacement.
    /// - Parameter isEarly: also from compactions before the content was deleted for good and came again.
    @Test(
        "What was damaged, replaced and compacted away is missed by nothing else", arguments: Array(1...40),
        [false, true])
    func healedAndCompacted(seed: Int, isEarly: Bool) throws {
        let world = try World(UInt64(seed), events: 100, heals: true)
        let garbage = try world.catalog.reader().garbage(writer: 1, segment: 1)
        let replaced = try world.catalog.reader().replaced(writer: 1, segment: 1)
        let kept = world.events.compactMap { event -> CatalogEvent? in
            guard case .instance(var instance) = event, garbage[instance.location.offset] != nil else { return event }
            let isReplaced = isEarly || replaced[instance.location.offset] != nil
            let isFound = world.events.contains { later in
                guard case .instance(let later) = later else { return false }
                return later.blobID == instance.blobID && later.flags & 2 != 0 && later.sequence > instance.sequence
                    && garbage[later.location.offset] == nil
            }
            guard isReplaced, isFound, !instance.isOwnCopy else { return nil }
            instance.flags &= ~2
            return .instance(instance)
        }
        #expect(!garbage.isEmpty)
        try expectTheSame(world, by: kept)
    }

    /// A catalog made from these gives everybody the same versions, also when all deletions are taken back.
    private func expectTheSame(_ world: World, by kept: [CatalogEvent]) throws {
        let anew = try TestCatalog { $0 }
        try anew.applyAsNumbered(kept)
        #expect(try anew.miscounted() == [])
        var sequence = world.catalog.sequence
        func check(_ when: Comment) throws {
            for scope in Self.scopes {
                var selection = CatalogSelection()
                selection.studyInstanceUIDs = (1...4).map { "1.\($0)" }
                let live = try CatalogReaders(path: world.catalog.path, maximum: 2).versions(selection, scope: scope)
                let made = try CatalogReaders(path: anew.path, maximum: 2).versions(selection, scope: scope)
                let differing = Set(live.map(\.blobID)).symmetricDifference(made.map(\.blobID))
                #expect(differing.isEmpty, "\(when), \(scope)")
            }
        }
        try check("at the end")
        // What is still held by a deletion comes back in both.
        for case .tombstone(let tombstone) in world.events {
            sequence += 1
            let event = Samples.undelete(tombstone.sequence).numbered(sequence)
            try world.catalog.applyAsNumbered([event])
            try anew.applyAsNumbered([event])
        }
        try check("all taken back")
    }

    @Test("A shared study is found by the name that it says, not by another of the same patient")
    func sharedName() throws {
        let catalog = try TestCatalog()
        try catalog.add(
            Samples.instance(1, 1, 1, organisation: "B", [.patientID: "P", .patientName: "FIRST^X"]),
            Samples.instance(2, 1, 1, organisation: "B", [.patientID: "P", .patientName: "SECOND^X"]))
        var scope = CatalogScope(organisation: "A", visible: [])
        scope.sharedStudies = [CatalogScope.SharedStudy(studyInstanceUID: "1.1", organisation: "B")]
        func found(_ name: CatalogMatch) throws -> [String] {
            var query = CatalogQuery(level: .study, scope: scope)
            query.conditions = [CatalogCondition(column: .patientName, match: name)]
            return try catalog.keys(query)
        }
        #expect(try found(.equals("FIRST^X")) == ["1.1"])
        #expect(try found(.wildcard("*^X")) == ["1.1"])
        #expect(try found(.equals("SECOND^X")) == [])
        #expect(try found(.wildcard("SEC*")) == [])
    }

    @Test("Whose a study is, is told by what one's own instances say")
    func ownPatient() throws {
        let catalog = try TestCatalog()
        func studies(of organisation: String, _ column: CatalogColumn, _ value: String) throws -> [String?] {
            var query = CatalogQuery(level: .study, scope: CatalogScope(organisation: organisation, visible: []))
            query.conditions = [CatalogCondition(column: column, match: .equals(value))]
            return try catalog.rows(query).map { $0[.patientID] }
        }
        let first = Samples.instance(1, 1, 1, organisation: "B", [.patientID: "P1"])
        let other = Samples.instance(1, 1, 2, organisation: "B", [.patientID: "P2"])
        let third = Samples.instance(1, 1, 3, organisation: "A", [.patientID: "P2"])
        try catalog.add(first, other, third)
        // The bytes of one of two patients that their first sender names.
        try catalog.apply([Samples.sighting(of: other, organisation: "C")])
        #expect(try studies(of: "C", .studyInstanceUID, "1.1") == ["P2"])
        #expect(try studies(of: "C", .patientID, "P1") == [])
        // Sent again after it was deleted for good, and kept for somebody else meanwhile.
        try catalog.apply([
            Samples.sighting(of: third, organisation: "C"),
            Samples.tombstone(.study, "1.1", organisation: "A", isOwnOnly: true),
        ])
        let tombstone = catalog.sequence
        #expect(try studies(of: "A", .studyInstanceUID, "1.1") == [])
        try catalog.apply([Samples.purge(tombstone), Samples.sighting(of: third, organisation: "A")])
        #expect(try studies(of: "A", .studyInstanceUID, "1.1") == ["P2"])
        #expect(try studies(of: "A", .patientID, "P2") == ["P2"])
        #expect(try studies(of: "A", .patientID, "P1") == [])
        #expect(try catalog.reader().deletionScope(under: ["1.1"], sentBy: "A").instances == 1)
    }

    @Test("What only deleted instances said is not told", arguments: [true, false])
    func deletedPatient(isPurged: Bool) throws {
        let catalog = try TestCatalog()
        try catalog.add(
            Samples.instance(1, 1, 1, organisation: "A", [.patientID: "P1"]),
            Samples.instance(1, 1, 2, organisation: "B", [.patientID: "P2", .studyDate: "20260101"]))
        try catalog.apply([Samples.tombstone(.study, "1.1", organisation: "A", isOwnOnly: true)])
        if isPurged { try catalog.apply([Samples.purge(catalog.sequence)]) }
        let query = CatalogQuery(level: .study, scope: CatalogScope(organisation: "A", visible: ["B"]))
        #expect(try catalog.rows(query).map { $0[.patientID] } == ["P2"])
        // The date of the study is A's to know, and what B may delete has another.
        #expect(try catalog.reader().deletionScope(under: ["1.1"], sentBy: "B").studies.map(\.date) == [""])
    }

    @Test(
        "A row that was found is not another one's when it is read",
        arguments: [CatalogLevel.patient, .study, .instance])
    func reusedNumber(_ level: CatalogLevel) throws {
        let catalog = try TestCatalog()
        let readers = try CatalogReaders(path: catalog.path)
        try catalog.add(Samples.instance(1, 1, 1, organisation: "A"), Samples.instance(2, 1, 1, organisation: "A"))
        var query = CatalogQuery(level: level, scope: CatalogScope(organisation: "A", visible: []))
        query.limit = 10
        let page = try readers.page(query, countingUpTo: 100)
        try catalog.apply([Samples.tombstone(.study, "1.2")])
        try catalog.apply([Samples.purge(catalog.sequence)])
        // Takes the number of the one that has gone.
        try catalog.add(Samples.instance(3, 1, 1, organisation: "B"))
        var found: [String?] = []
        try readers.rows(page) { row in
            found.append(row[.patientID])
            return true
        }
        #expect(found == ["P1"])
    }

    @Test("A deletion of one's own leaves others theirs, and comes back whole", arguments: [true, false])
    func ownDeletion(isTakenBack: Bool) throws {
        let catalog = try TestCatalog()
        let both = Samples.instance(1, 1, 1, organisation: "A")
        try catalog.add(both, Samples.instance(1, 1, 2, organisation: "A"))
        try catalog.apply([Samples.sighting(of: both, organisation: "B")])
        // Its own version of what B has, too.
        try catalog.add(Samples.instance(1, 1, 1, organisation: "A", content: 1))
        func seen(_ organisation: String) throws -> [[UInt8]] {
            var query = CatalogQuery(level: .instance, scope: CatalogScope(organisation: organisation, visible: []))
            query.conditions = [CatalogCondition(column: .studyInstanceUID, match: .equals("1.1"))]
            return try catalog.rows(query).map { $0.representative!.blobID }
        }
        let (before, ofB) = (try seen("A"), try seen("B"))
        #expect(before.count == 2 && ofB == [both.blobID])
        try catalog.apply([Samples.tombstone(.study, "1.1", organisation: "A", isOwnOnly: true)])
        let tombstone = catalog.sequence
        #expect(try seen("A") == [])
        #expect(try seen("B") == ofB)
        #expect(try catalog.find(.instance) == ["1.1.1.1"], "who sees everything sees what B has")
        #expect(try catalog.miscounted() == [])
        try catalog.apply([isTakenBack ? Samples.undelete(tombstone) : Samples.purge(tombstone)])
        #expect(try seen("A") == (isTakenBack ? before : []))
        #expect(try seen("B") == ofB)
        #expect(try catalog.miscounted() == [])
        #expect(try catalog.reader().statistics().versions == (isTakenBack ? 3 : 1))
        #expect(try catalog.reader().garbage().map(\.bytes) == (isTakenBack ? [] : [2 * 4096]))
    }

    @Test("Who is shown what is rejected is shown its own of it alone")
    func rejected() throws {
        let catalog = try TestCatalog()
        try catalog.apply([
            .instance(Samples.instance(5, 1, 1, organisation: "A")),
            .instance(Samples.instance(6, 1, 1, organisation: "B")),
            Samples.note(1, ["1.5.1.1", "1.6.1.1"]),
        ])
        for level in [CatalogLevel.patient, .study, .series, .instance] {
            for (organisation, key) in [("A", "5"), ("B", "6")] {
                var query = CatalogQuery(level: level, scope: CatalogScope(organisation: organisation, visible: []))
                query.conditions = [CatalogCondition(column: .patientID, match: .anyOf(["P5", "P6"]))]
                #expect(try catalog.keys(query) == [])
                query.shownReasons = .rejectedForQuality
                let prefix = level == .patient ? "P\(key)" : "1.\(key)"
                let keys = try catalog.keys(query)
                #expect(
                    keys.count == 1 && keys.allSatisfy { $0.hasPrefix(prefix) }, "\(level), \(organisation): \(keys)")
            }
        }
    }

    /// What C-GET, C-MOVE and WADO are given.
    private func selections(_ world: World, _ scope: CatalogScope) throws {
        let readers = try CatalogReaders(path: world.catalog.path, maximum: 2)
        for study in 1...4 {
            var selection = CatalogSelection()
            selection.studyInstanceUIDs = ["1.\(study)"]
            let expected = world.oracle.seen(scope).filter { $0.study == "1.\(study)" }
            let found = try readers.versions(selection, scope: scope)
            #expect(
                Set(found.map(\.blobID)) == Set(expected.map { world.oracle.version($0, scope) }),
                "study \(study), \(scope)")
        }
        for patient in ["P0", "P1", "P2", "P3"] {
            var selection = CatalogSelection()
            selection.patientID = (patient, nil)
            let expected = world.oracle.rows(
                Question(text: "", level: .instance, conditions: [(.patientID, .equals(patient))]), scope)
            let found = try readers.versions(selection, scope: scope)
            #expect(Set(found.map(\.blobID)) == Set(expected.values.map { $0.representative! }), "\(patient), \(scope)")
        }
    }

    private static func key(_ row: CatalogRow, _ level: CatalogLevel) -> String {
        let columns: [CatalogColumn] = [.patientID, .studyInstanceUID, .seriesInstanceUID, .sopInstanceUID]
        return level == .patient ? row[.patientID]! : (row[columns[level.rawValue]] ?? "")
    }

    private static func told(_ row: CatalogRow, _ level: CatalogLevel, _ scope: CatalogScope) -> ScopeOracle.Expected {
        var told = ScopeOracle.Expected()
        told.patient = row[.patientID] ?? ""
        told.counts = [
            row.numberOfPatientRelatedStudies, row.numberOfPatientRelatedSeries, row.numberOfPatientRelatedInstances,
            row.numberOfStudyRelatedSeries, row.numberOfStudyRelatedInstances, row.numberOfSeriesRelatedInstances,
        ]
        told.modalities = row.modalitiesInStudy
        told.classes = row.sopClassesInStudy
        told.representative = row.representative?.blobID
        for level in [CatalogLevel.patient, .study, .series, .instance].prefix(level.rawValue + 1) {
            told.values.append(
                row.unknownLevels.contains(level) ? nil : level.valueColumns.map { row[$0] })
            if row.unknownLevels.contains(level) { #expect(level.valueColumns.allSatisfy { row[$0] == nil }) }
        }
        return told
    }
}

extension ScopeOracle {
    /// What a question must find, by the row's key.
    func rows(_ question: ScopeTests.Question, _ scope: CatalogScope) -> [String: Expected] {
        var rows: [String: Expected] = [:]
        let seen = seen(scope)
        // Each instance that is seen, under each patient that its study is found under, may bring a row.
        var matched: [String: [(instance: Instance, patient: Int)]] = [:]
        for instance in seen {
            for (patient, known) in linked(instance.study, scope)
            where matches(question, instance, patient, known: known, scope) {
                let id = patients.first { $0.value.id == patient }!.key
                let key = [id, instance.study, instance.series, instance.uid][question.level.rawValue]
                matched[key, default: []].append((instance, patient))
            }
        }
        let usesPatient = question.conditions.contains { $0.0.level == .patient }
        for (key, found) in matched {
            let instance = found.map(\.instance).min { $0.id < $1.id }!
            var patient = found[0].patient
            if question.level > .patient {
                let own = studies[instance.study]!.patient
                let all = found.map(\.patient)
                patient = usesPatient ? (all.contains(own) ? own : all.min()!) : owner(instance.study, scope)!
            }
            rows[key] = expected(question.level, key, instance, patient, scope)
        }
        return rows
    }

    private func expected(
        _ level: CatalogLevel, _ key: String, _ instance: Instance, _ patient: Int, _ scope: CatalogScope
    ) -> Expected {
        var row = Expected()
        let study = instance.study
        let (id, patientRow) = patients.first { $0.value.id == patient }!
        row.patient = id
        let inStudy = instances.filter { $0.study == study }
        let inSeries = inStudy.filter { $0.series == instance.series }
        let ofPatient = studies.keys.filter { uid in
            studyCounts(uid, scope).instances > 0 && linked(uid, scope).contains { $0.patient == patient }
        }
        let owned = ofPatient.filter { owner($0, scope) == patient }.map { studyCounts($0, scope) }
        row.counts = [ofPatient.count, owned.reduce(0) { $0 + $1.series }, owned.reduce(0) { $0 + $1.instances }]
        row.counts += [0, 0, 0]
        let representative: Instance
        switch level {
        case .patient:
            let first = ofPatient.min { studies[$0]!.id < studies[$1]!.id }!
            representative = seen(scope).filter { $0.study == first }.min { $0.id < $1.id }!
        case .study: representative = inStudy.filter { isSeen($0, scope) }.min { $0.id < $1.id }!
        case .series: representative = inSeries.filter { isSeen($0, scope) }.min { $0.id < $1.id }!
        case .instance: representative = instance
        }
        row.representative = version(representative, scope)
        if level > .patient {
            (row.counts[3], row.counts[4]) = studyCounts(study, scope)
            row.modalities = modalities(study, scope)
            row.classes = classes(study, scope)
        }
        if level > .study { row.counts[5] = inSeries.filter { isSeen($0, scope) }.count }
        func add(_ level: CatalogLevel, _ isKnown: Bool, _ values: CatalogInstance) {
            row.values.append(isKnown ? level.valueColumns.map { values.values[$0.rawValue] } : nil)
        }
        let known = (level == .patient ? ofPatient : [study]).contains { uid in
            linked(uid, scope).contains { $0.patient == patient && $0.known }
        }
        let knownAtAll = level == .patient ? known : isPatientKnown(patient, scope)
        add(.patient, scope.visible == nil || knownAtAll, patientRow.row)
        if level >= .study { add(.study, isKnown(.study, in: inStudy, scope), studies[study]!.row) }
        if level >= .series {
            add(.series, isKnown(.series, in: inSeries, scope), series[study + "/" + instance.series]!.row)
        }
        if level >= .instance { add(.instance, isKnown(.instance, in: [instance], scope), instance.row) }
        return row
    }

    /// In whatever study.
    private func isPatientKnown(_ patient: Int, _ scope: CatalogScope) -> Bool {
        studies.keys.contains { uid in
            studyCounts(uid, scope).instances > 0 && linked(uid, scope).contains { $0.patient == patient && $0.known }
        }
    }

    private func matches(
        _ question: ScopeTests.Question, _ instance: Instance, _ patient: Int, known: Bool, _ scope: CatalogScope
    ) -> Bool {
        let inStudy = instances.filter { $0.study == instance.study }
        let inSeries = inStudy.filter { $0.series == instance.series }
        for (column, match) in question.conditions {
            let isMet: Bool
            switch column {
            case .patientName:
                isMet =
                    names(of: patient, scope).contains { match.accepts($0) }
                    || !question.fuzzy.isEmpty && hasWords(question.fuzzy, patient, scope)
            case .patientID: isMet = match.accepts(patients.first { $0.value.id == patient }!.key)
            default:
                let row: CatalogInstance
                let isTold: Bool
                switch column.level {
                case .patient: (row, isTold) = (patients.values.first { $0.id == patient }!.row, known)
                case .study: (row, isTold) = (studies[instance.study]!.row, isKnown(.study, in: inStudy, scope))
                case .series:
                    row = series[instance.study + "/" + instance.series]!.row
                    isTold = isKnown(.series, in: inSeries, scope)
                case .instance: (row, isTold) = (instance.row, isKnown(.instance, in: [instance], scope))
                }
                isMet = (column.isKey || isTold) && match.accepts(row[column])
            }
            if !isMet { return false }
        }
        if let match = question.modalities, !modalities(instance.study, scope).contains(where: match.accepts) {
            return false
        }
        if let match = question.classes, !classes(instance.study, scope).contains(where: match.accepts) { return false }
        if let number = question.request {
            let keys = Set(inStudy.map { $0.study + "/" + $0.series })
            let wanted = question.level <= .study ? keys : [instance.study + "/" + instance.series]
            return requests.contains {
                wanted.contains($0[0]) && $0[2] == number && sees($0[1], in: instance.study, scope)
            }
        }
        return true
    }
}

extension CatalogEvent {
    fileprivate var isOwnCopy: Bool { if case .instance(let instance) = self { instance.isOwnCopy } else { false } }
}

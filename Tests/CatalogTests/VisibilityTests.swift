// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Catalog

@Suite("Deleting, rejecting, damage and places")
struct VisibilityTests {
    private let catalog: TestCatalog

    init() throws { catalog = try TestCatalog() }

    // MARK: What is seen

    /// What happened after `base`, and the instances that are seen then. The first event has sequence number 5.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let events: [CatalogEvent]
        let instances: [String]

        init(_ description: String, _ events: [CatalogEvent], _ instances: [String]) {
            testDescription = description
            self.events = events
            self.instances = instances
        }
    }

    private static let base: [CatalogEvent] = [
        .instance(Samples.instance(1, 1, 1)), .instance(Samples.instance(1, 1, 2)),
        .instance(Samples.instance(1, 2, 1, [.modality: "MR"])), .instance(Samples.instance(2, 1, 1)),
    ]
    private static let first = "1.1.1.1"
    private static let second = "1.1.1.2"
    private static let third = "1.1.2.1"
    private static let other = "1.2.1.1"
    private static let all = [first, second, third, other]
    private static let note = "1.1.90.1"

    static let cases: [Case] = [
        Case("nothing", [.other(sequence: 0)], all),
        Case("a study", [Samples.tombstone(.study, "1.1")], [other]),
        Case("a series", [Samples.tombstone(.series, "1.1.1")], [third, other]),
        Case("an instance", [Samples.tombstone(.instance, first)], [second, third, other]),
        Case("everything", [Samples.tombstone(.study, "1.1"), Samples.tombstone(.study, "1.2")], []),
        Case("what is not there", [Samples.tombstone(.study, "1.3"), Samples.tombstone(.instance, "1.1")], all),
        Case("of another level", [Samples.tombstone(.series, "1.1"), Samples.tombstone(.study, "1.1.1")], all),
        Case("taken back", [Samples.tombstone(.study, "1.1"), Samples.undelete(5)], all),
        Case("another one taken back", [Samples.tombstone(.study, "1.1"), Samples.undelete(4)], [other]),
        Case("taken back before", [Samples.undelete(6), Samples.tombstone(.study, "1.1")], [other]),
        Case(
            "taken back twice, deleted between",
            [
                Samples.tombstone(.study, "1.1"), Samples.undelete(5), Samples.tombstone(.study, "1.1"),
                Samples.undelete(5),
            ],
            [other]),
        Case("for good", [Samples.tombstone(.study, "1.1"), Samples.purge(5)], [other]),
        Case(
            "for good, then taken back", [Samples.tombstone(.study, "1.1"), Samples.purge(5), Samples.undelete(5)],
            [other]),
        Case(
            "taken back, then for good", [Samples.tombstone(.study, "1.1"), Samples.undelete(5), Samples.purge(5)], all),
        Case(
            "a part, then the whole, which is taken back",
            [Samples.tombstone(.instance, first), Samples.tombstone(.study, "1.1"), Samples.undelete(6)],
            [second, third, other]),
        Case(
            "a part, then the whole; the part is taken back",
            [Samples.tombstone(.instance, first), Samples.tombstone(.study, "1.1"), Samples.undelete(5)],
            [first, other]),
        Case(
            "a part, then the whole for good",
            [
                Samples.tombstone(.instance, first), Samples.tombstone(.study, "1.1"), Samples.purge(6),
                Samples.undelete(5),
            ],
            [first, other]),
        Case(
            "the same content again",
            [Samples.tombstone(.study, "1.1"), Samples.sighting(of: Samples.instance(1, 1, 2), organisation: "A")],
            [second, other]),
        Case(
            "the same content again, then for good",
            [
                Samples.tombstone(.study, "1.1"), Samples.sighting(of: Samples.instance(1, 1, 2), organisation: "B"),
                Samples.purge(5),
            ], [second, other]),
        Case(
            "other content again",
            [
                Samples.tombstone(.study, "1.1"), .instance(Samples.instance(1, 1, 2, organisation: "B", content: 1)),
            ], [second, other]),
        Case(
            "a new copy of the same content",
            [Samples.tombstone(.instance, first), .instance(Samples.instance(1, 1, 1))], all),
        Case(
            "the same after it was gone for good",
            [Samples.tombstone(.instance, first), Samples.purge(5), .instance(Samples.instance(1, 1, 1))],
            [second, third, other, first]),
        Case(
            "seen again after it was gone for good",
            [
                Samples.tombstone(.instance, first), Samples.purge(5),
                Samples.sighting(of: Samples.instance(1, 1, 1), organisation: "B"),
            ], [second, third, other]),
        Case(
            "a new instance of a deleted series",
            [Samples.tombstone(.study, "1.1"), .instance(Samples.instance(1, 1, 3))], [other, "1.1.1.3"]),
        Case(
            "a new series of a deleted study",
            [Samples.tombstone(.study, "1.1"), .instance(Samples.instance(1, 3, 1))], [other, "1.1.3.1"]),
        Case(
            "a new study of a deleted patient",
            [Samples.tombstone(.study, "1.2"), .instance(Samples.instance(3, 1, 1, [.patientID: "P2"]))],
            [first, second, third, "1.3.1.1"]),
        Case("a note", [Samples.note(1, [first, third])], [second, other, note]),
        Case("a note of what is not there", [Samples.note(1, ["1.9"])], all + [note]),
        Case("a note before it", [Samples.note(1, ["1.1.1.3"]), .instance(Samples.instance(1, 1, 3))], all + [note]),
        Case("a note names itself", [Samples.note(1, [note])], all + [note]),
        Case("a withdrawn note", [Samples.note(1, [first]), Samples.tombstone(.instance, note)], all),
        Case(
            "a withdrawn note that is taken back",
            [Samples.note(1, [first]), Samples.tombstone(.instance, note), Samples.undelete(6)],
            [second, third, other, note]),
        Case(
            "a withdrawn note does not speak of what comes",
            [Samples.note(1, ["1.1.1.3"]), Samples.tombstone(.instance, note), .instance(Samples.instance(1, 1, 3))],
            all + ["1.1.1.3"]),
        Case(
            "a note for good",
            [Samples.note(1, [first]), Samples.tombstone(.instance, note), Samples.purge(6), Samples.undelete(6)], all),
        Case(
            "two notes, one withdrawn",
            [Samples.note(1, [first, second]), Samples.note(2, [second, third]), Samples.tombstone(.instance, note)],
            [first, other, "1.1.90.2"]),
        Case(
            "rejected and seen again",
            [Samples.note(1, [first]), Samples.sighting(of: Samples.instance(1, 1, 1), organisation: "B")],
            [second, third, other, note]),
        Case(
            "rejected and deleted, taken back",
            [Samples.note(1, [first]), Samples.tombstone(.instance, first), Samples.undelete(6)],
            [second, third, other, note]),
        Case(
            "deleted and rejected, the note withdrawn",
            [Samples.tombstone(.instance, first), Samples.note(1, [first]), Samples.tombstone(.instance, note)],
            [second, third, other]),
        Case(
            "deleted and rejected for good, and again",
            [
                Samples.note(1, [first]), Samples.tombstone(.instance, first), Samples.purge(6),
                .instance(Samples.instance(1, 1, 1)),
            ], [second, third, other, note]),
        Case(
            "an instance of two studies, in one",
            [
                .instance(
                    Samples.instance(1, 1, 1, content: 1, [.studyInstanceUID: "1.9", .seriesInstanceUID: "1.9.1"])),
                Samples.tombstone(.instance, first, study: "1.9"),
            ], all),
        Case(
            "a series of two studies, in one",
            [
                .instance(Samples.instance(1, 1, 9, [.studyInstanceUID: "1.9"])),
                Samples.tombstone(.series, "1.1.1", study: "1.9"),
            ], all),
        Case(
            "a series that is not of that study", [Samples.tombstone(.series, "1.1.1", study: "1.2")], all),
        Case(
            "a study with its note, taken back",
            [Samples.note(1, [first, other]), Samples.tombstone(.study, "1.1"), Samples.undelete(6)],
            [second, third, note]),
        Case("a study with its note", [Samples.note(1, [first, other]), Samples.tombstone(.study, "1.1")], [other]),
        Case(
            "a withdrawn note that comes again",
            [
                Samples.note(1, [first]), Samples.tombstone(.instance, note),
                Samples.sighting(of: Samples.noteInstance(1, [first]), organisation: "A"),
            ], [second, third, other, note]),
    ]

    @Test("Events, and what is seen after them", arguments: cases)
    func table(_ table: Case) throws {
        try catalog.apply(Self.base + table.events)
        let expected = table.instances
        #expect(try catalog.find(.instance).sorted() == expected.sorted())
        func parents(_ count: Int) -> [String] {
            Set(expected.map { $0.split(separator: ".").prefix(count).joined(separator: ".") }).sorted()
        }
        #expect(try catalog.find(.series).sorted() == parents(3))
        #expect(try catalog.find(.study).sorted() == parents(2))
        #expect(try catalog.miscounted() == [])
        let statistics = try catalog.reader().statistics()
        #expect(statistics.instances == expected.count && statistics.series == parents(3).count)
        #expect(statistics.studies == parents(2).count)
        #expect(Set(try catalog.find(.patient)).count == statistics.patients)
        try checkRetrieval(expected)
    }

    private func checkRetrieval(_ expected: [String]) throws {
        var selection = CatalogSelection()
        selection.studyInstanceUIDs = ["1.1", "1.2", "1.3"]
        let readers = try CatalogReaders(path: catalog.path)
        let versions = try readers.versions(selection, scope: .everything(as: "A"))
        #expect(versions.map(\.sopInstanceUID).sorted() == expected.sorted())
    }

    @Test("The same events in one batch, in many, and with a writer opened anew give the same tables", arguments: cases)
    func batches(_ table: Case) throws {
        let events = Self.base + table.events
        try catalog.apply(events)
        let single = try TestCatalog()
        for event in events { try single.apply([event]) }
        #expect(try single.dump() == (try catalog.dump()))
        let again = events.enumerated().map { $1.numbered(UInt64($0 + 1)) }
        try catalog.applyAsNumbered(again)
        #expect(try catalog.dump() == (try single.dump()))
    }

    @Test("Counts and modalities are of what is seen")
    func counts() throws {
        try catalog.apply(Self.base + [Samples.tombstone(.series, "1.1.2")])
        var query = CatalogQuery(level: .study, scope: .everything(as: "A"))
        query.conditions = [CatalogCondition(column: .studyInstanceUID, match: .equals("1.1"))]
        let study = try #require(try catalog.rows(query).first)
        #expect(study.modalitiesInStudy == ["CT"])
        #expect(study.numberOfStudyRelatedSeries == 1 && study.numberOfStudyRelatedInstances == 2)
        #expect(study.numberOfPatientRelatedInstances == 2)
        query.modalitiesInStudy = .equals("MR")
        #expect(try catalog.keys(query) == [])
        try catalog.apply([Samples.tombstone(.instance, Self.first)])
        query.modalitiesInStudy = nil
        // Whoever stands for the study is seen.
        #expect(try catalog.rows(query).first?.representative?.sopInstanceUID == Self.second)
    }

    @Test("What is hidden for a reason is shown to those who see it, what is deleted to nobody")
    func shownReasons() throws {
        try catalog.apply(
            Self.base + [
                Samples.note(1, [Self.first]), Samples.note(2, [Self.third], reasons: .rejectedForPatientSafety),
                Samples.note(3, [Self.first, Self.other], reasons: .incorrectWorklistEntry),
                Samples.tombstone(.instance, Self.second),
            ])
        func seen(_ reasons: HiddenReasons) throws -> [String] {
            var query = CatalogQuery(level: .instance, scope: .everything(as: "A"))
            query.shownReasons = reasons
            return try catalog.keys(query).filter { Self.all.contains($0) }
        }
        #expect(try seen([]) == [])
        #expect(try seen(.rejectedForQuality) == [])
        #expect(try seen([.rejectedForQuality, .incorrectWorklistEntry]) == [Self.first, Self.other])
        #expect(try seen(.rejectedForPatientSafety) == [Self.third])
        #expect(
            try seen([.rejectedForQuality, .rejectedForPatientSafety, .incorrectWorklistEntry, .retentionExpired])
                == [Self.first, Self.third, Self.other])
    }

    // MARK: Taking back, and for good

    /// Every row of every table that speaks of instances.
    private func rows(_ catalog: TestCatalog) throws -> [String] {
        let others = ["tombstone: ", "state: ", "garbage: ", "organisation: "]
        return try catalog.dump().filter { row in !others.contains { row.hasPrefix($0) } }
    }

    @Test(
        "Taking back restores every row",
        arguments: [
            (CatalogLevel.study, "1.1"), (.study, "1.3"), (.study, "1.4"), (.series, "1.3.3"), (.series, "1.1.1"),
            (.series, "1.3.9"), (.instance, "1.1.1.1"), (.instance, "1.4.1.4"), (.instance, "1.0.0.0"),
        ])
    func takingBack(level: CatalogLevel, uid: String) throws {
        try catalog.apply(WriterTests.history)
        let before = try rows(catalog)
        let statistics = try catalog.reader().statistics()
        let scope = try catalog.reader().deletionScope(under: Samples.uids(level, uid))
        try catalog.apply([Samples.tombstone(level, uid)])
        let tombstone = catalog.sequence
        #expect(try catalog.miscounted() == [])
        #expect(try catalog.reader().statistics().instances == statistics.instances - scope.instances)
        try catalog.apply([Samples.undelete(tombstone)])
        #expect(try rows(catalog) == before)
        #expect(try catalog.reader().statistics() == statistics)
        #expect(try catalog.reader().deletion(tombstone)?.state == .takenBack)
    }

    @Test("A purge leaves no row of what it takes, but for the tombstone and the garbage")
    func purge() throws {
        let kept = Self.base
        let gone = [
            Samples.instance(1, 1, 7), Samples.instance(1, 5, 1, [.modality: "PT"]), Samples.instance(5, 1, 1),
            Samples.instance(6, 1, 1, [.patientID: "P2", .patientName: "Name2^Given"]),
            Samples.instance(7, 1, 1, [.patientID: ""], requests: [WriterTests.request]),
        ]
        let never = try TestCatalog()
        try never.apply(kept)
        try catalog.apply(kept + gone.map { .instance($0) })
        try catalog.apply(gone.map { Samples.sighting(of: $0, organisation: "B") })
        try catalog.apply([.instance(Samples.instance(5, 1, 1, content: 1))])
        for instance in gone {
            try catalog.apply([Samples.tombstone(.instance, instance[.sopInstanceUID])])
            try catalog.apply([Samples.purge(catalog.sequence)])
        }
        #expect(try rows(catalog) == (try rows(never)))
        #expect(try catalog.miscounted() == [])
        var statistics = try catalog.reader().statistics()
        (statistics.sightings, statistics.savedBytes) = (0, 0)
        #expect(try statistics == never.reader().statistics())
        let garbage = try catalog.reader().garbage()
        #expect(garbage.map(\.bytes) == [6 * 4096] && garbage.map(\.segment) == [1])
        let offsets = try catalog.reader().garbage(writer: 1, segment: 1)
        #expect(Set(offsets.keys) == Set([5, 6, 7, 8, 9, 15].map { UInt64($0) * 4096 }))
        #expect(offsets[5 * 4096] == gone[0].blobID)
    }

    @Test("What was purged and comes again is as if it came first")
    func afterPurge() throws {
        let instance = Samples.instance(1, 1, 1)
        try catalog.add(instance)
        try catalog.apply([Samples.tombstone(.study, "1.1"), Samples.purge(2)])
        #expect(try catalog.reader().statistics() == CatalogStatistics())
        try catalog.add(instance)
        #expect(try catalog.find(.patient) == ["P1"])
        #expect(try catalog.find(.study, (.accessionNumber, .wildcard("*A1"))) == ["1.1"])
        #expect(try catalog.find(.study, (.patientName, .wildcard("*AME1*"))) == ["1.1"])
        #expect(try catalog.miscounted() == [])
    }

    @Test("A study is not found any more under a patient whom only what was purged named", arguments: [1, 2])
    func strangers(wrong: Int) throws {
        func instance(_ number: Int) -> CatalogInstance {
            Samples.instance(1, 1, number, number == wrong ? [.patientID: "WRONG", .patientName: "Wrong^One"] : [:])
        }
        try catalog.add(instance(1), instance(2), Samples.instance(3, 1, 1))
        #expect(try catalog.find(.patient).sorted() == ["P1", "P3", "WRONG"])
        try catalog.apply([Samples.tombstone(.instance, "1.1.1.\(wrong)"), Samples.purge(4)])
        #expect(try catalog.miscounted() == [])
        #expect(try catalog.find(.patient) == ["P1", "P3"])
        #expect(try catalog.find(.study, (.patientID, .equals("WRONG"))) == [])
        #expect(try catalog.find(.study, (.patientID, .wildcard("*RON*"))) == [])
        #expect(try catalog.find(.study, (.patientName, .wildcard("WRO*"))) == [])
        #expect(try catalog.find(.study, (.patientID, .equals("P1"))) == ["1.1"])
        #expect(try catalog.find(.study, (.patientID, .wildcard("*P1"))) == ["1.1"])
        #expect(try catalog.reader().statistics().patients == 2)
        #expect(try flags(.study, "1.1") == [])
        try catalog.apply([Samples.tombstone(.study, "1.1"), Samples.purge(catalog.sequence + 1)])
        #expect(try catalog.find(.study, (.patientID, .wildcard("*P1"))) == [] && catalog.find(.patient) == ["P3"])
    }

    @Test(
        "A study's counts go to the patient whose it becomes, when the wrong series was the first",
        arguments: [true, false])
    func strangersSeries(isFirst: Bool) throws {
        let wrong = Samples.instance(1, 1, 1, [.patientID: "WRONG", .patientName: "Wrong^One"])
        let right = Samples.instance(1, 2, 1)
        try catalog.apply((isFirst ? [wrong, right] : [right, wrong]).map { .instance($0) })
        try catalog.apply([Samples.tombstone(.series, "1.1.1"), Samples.purge(3)])
        #expect(try catalog.miscounted() == [])
        #expect(try catalog.find(.patient) == ["P1"])
    }

    @Test("A patient whom one study does not name any more keeps the others")
    func strangerElsewhere() throws {
        try catalog.add(
            Samples.instance(1, 1, 1), Samples.instance(1, 1, 2, [.patientID: "P2", .patientName: "Name2^Given"]),
            Samples.instance(2, 1, 1))
        try catalog.apply([Samples.tombstone(.instance, "1.1.1.2"), Samples.purge(4)])
        #expect(try catalog.find(.study, (.patientID, .equals("P2"))) == ["1.2"])
        #expect(try catalog.find(.study, (.patientName, .wildcard("NAME2*"))) == ["1.2"])
        #expect(try catalog.miscounted() == [])
    }

    @Test("What was purged is found by no index of texts")
    func indexesOfTexts() throws {
        try catalog.apply((1...3).map { .instance(Samples.instance($0, 1, 1, [.studyDescription: "Schädel"])) })
        try catalog.apply([Samples.tombstone(.study, "1.2"), Samples.purge(4)])
        #expect(try catalog.find(.study, (.studyDescription, .wildcard("*chäd*"))) == ["1.1", "1.3"])
        #expect(try catalog.find(.patient, (.patientName, .wildcard("*AME2*"))) == [])
        #expect(try catalog.select("SELECT count(*) FROM patient_name") == ["2"])
    }

    // MARK: Lists of deletions

    @Test("Deletions are listed with who made them, and those whose grace is over are told")
    func listed() throws {
        try catalog.apply(
            Self.base + [
                Samples.tombstone(.study, "1.1", instances: 3, at: 100),
                Samples.tombstone(.instance, Self.other, organisation: "B", instances: 1, at: 200),
                Samples.tombstone(.study, "1.9", at: 300), Samples.undelete(5), Samples.purge(6),
            ])
        let reader = try catalog.reader()
        let deletions = try reader.deletions()
        #expect(deletions.map(\.sequence) == [5, 6, 7])
        #expect(deletions.map(\.state) == [.takenBack, .forGood, .pending])
        #expect(deletions.map(\.level) == [.study, .instance, .study])
        #expect(deletions.map(\.uids) == [["1.1"], [nil, nil, Self.other], ["1.9"]])
        #expect(deletions.map(\.instances) == [3, 1, 0])
        #expect(deletions.map(\.organisation) == ["A", "B", "A"])
        #expect(deletions.map(\.deletedAtNanoseconds) == [100, 200, 300])
        #expect(try reader.deletion(6) == deletions[1])
        #expect(try reader.deletion(4) == nil)
        #expect(try reader.deletion(UInt64.max) == nil)
        #expect(try reader.deletions(pendingSinceBefore: 299) == [])
        #expect(try reader.deletions(pendingSinceBefore: 300).map(\.sequence) == [7])
    }

    @Test("The scope of a deletion is what is not deleted, with the dates and senders of its studies")
    func scope() throws {
        try catalog.apply(
            Self.base + [
                .instance(Samples.instance(1, 3, 1, organisation: "B")), Samples.note(1, [Self.first]),
                Samples.tombstone(.instance, Self.second),
            ])
        let reader = try catalog.reader()
        // Rejected ones count, and the note itself.
        let study = try reader.deletionScope(under: Samples.uids(.study, "1.1"))
        #expect(study.instances == 4)
        #expect(study.studies.map(\.organisation) == ["A", "B"])
        #expect(study.studies.allSatisfy { $0.uid == "1.1" && $0.date == "20260105" })
        #expect(try reader.deletionScope(under: Samples.uids(.series, "1.1.1")).instances == 1)
        #expect(try reader.deletionScope(under: Samples.uids(.instance, Self.second)) == CatalogDeletionScope())
        #expect(try reader.deletionScope(under: Samples.uids(.instance, Self.other)).studies.map(\.uid) == ["1.2"])
        #expect(try reader.deletionScope(under: Samples.uids(.study, "1.9")) == CatalogDeletionScope())
    }

    // MARK: Damage

    private func flags(_ level: CatalogLevel, _ key: String) throws -> CatalogFlags? {
        let column: CatalogColumn = [.patientID, .studyInstanceUID, .seriesInstanceUID, .sopInstanceUID][level.rawValue]
        var query = CatalogQuery(level: level, scope: .everything(as: "A"))
        query.conditions = [CatalogCondition(column: column, match: .equals(key))]
        return try catalog.rows(query).first?.flags
    }

    @Test("Damage is told of the instance and all above it, until a good copy comes")
    func damage() throws {
        try catalog.apply(Self.base)
        let before = try rows(catalog)
        let (first, second) = (Samples.instance(1, 1, 1), Samples.instance(1, 1, 2))
        try catalog.apply([.damaged(sequence: 0, blobID: first.blobID), .damaged(sequence: 0, blobID: second.blobID)])
        for (level, key) in [
            (CatalogLevel.instance, Self.first), (.instance, Self.second), (.series, "1.1.1"), (.study, "1.1"),
        ] {
            #expect(try flags(level, key) == .damaged, "\(level) \(key)")
        }
        for (level, key) in [(CatalogLevel.instance, Self.third), (.series, "1.1.2"), (.study, "1.2")] {
            #expect(try flags(level, key) == [], "\(level) \(key)")
        }
        #expect(try catalog.reader().damaged().map(\.sopInstanceUID) == [Self.first, Self.second])
        #expect(try catalog.reader().statistics().flagged == 4)
        try catalog.add(first)
        #expect(try flags(.instance, Self.first) == [] && (try flags(.study, "1.1")) == .damaged)
        try catalog.add(second)
        #expect(try flags(.series, "1.1.1") == [] && (try flags(.study, "1.1")) == [])
        #expect(try catalog.reader().damaged().isEmpty)
        // But for the places, all is as it was.
        func withoutPlaces(_ rows: [String]) -> [String] { rows.filter { !$0.hasPrefix("version: ") } }
        #expect(withoutPlaces(try rows(catalog)) == withoutPlaces(before))
        #expect(Set(try catalog.reader().garbage(writer: 1, segment: 1).keys) == [4096, 8192])
    }

    @Test("Damage of one version does not go with the healing of another, nor a conflict's mark with either")
    func damagedVersions() throws {
        let (first, second) = (Samples.instance(1, 1, 1), Samples.instance(1, 1, 1, content: 1))
        try catalog.add(first, second)
        try catalog.apply([.damaged(sequence: 0, blobID: first.blobID), .damaged(sequence: 0, blobID: second.blobID)])
        #expect(try flags(.instance, Self.first) == [.damaged, .conflict])
        try catalog.add(second)
        #expect(try flags(.instance, Self.first) == [.damaged, .conflict])
        #expect(try catalog.reader().damaged().map(\.blobID) == [first.blobID])
        try catalog.add(first)
        #expect(try flags(.instance, Self.first) == .conflict && (try flags(.study, "1.1")) == [])
    }

    @Test("Damage of what is not known changes nothing, and goes when what is damaged is gone for good")
    func damageGone() throws {
        try catalog.apply(Self.base + [.damaged(sequence: 0, blobID: Samples.instance(9, 9, 9).blobID)])
        #expect(try catalog.reader().statistics().flagged == 0)
        let instance = Samples.instance(1, 2, 1)
        try catalog.apply([.damaged(sequence: 0, blobID: instance.blobID), Samples.tombstone(.instance, Self.third)])
        try catalog.apply([Samples.purge(catalog.sequence)])
        #expect(try flags(.study, "1.1") == [])
        #expect(try catalog.reader().statistics().flagged == 0)
        try catalog.apply([.damaged(sequence: 0, blobID: Samples.instance(1, 1, 1).blobID)])
        try catalog.apply([Samples.tombstone(.instance, Self.first)])
        try catalog.apply([Samples.purge(catalog.sequence)])
        #expect(try flags(.series, "1.1.1") == [] && (try flags(.study, "1.1")) == [])
    }

    // MARK: Places

    private func location(_ offset: UInt64, writer: UInt32 = 1, segment: UInt32 = 1) -> CatalogLocation {
        CatalogLocation(writer: writer, segment: segment, offset: offset, length: 4096)
    }

    @Test("Records that were moved are found at their new places, garbage too; twice is once")
    func moves() throws {
        let (first, second) = (Samples.instance(1, 1, 1), Samples.instance(1, 1, 2))
        try catalog.add(first, second, Samples.instance(2, 1, 1))
        // Gone for good while it was copied.
        try catalog.apply([Samples.tombstone(.instance, Self.second), Samples.purge(4)])
        let moves = [
            (blobID: first.blobID, from: location(4096), to: location(8192, writer: 2)),
            (blobID: second.blobID, from: location(8192), to: location(4096, writer: 2)),
            // Somebody else's record, which stands elsewhere.
            (blobID: first.blobID, from: location(12_288), to: location(12_288, writer: 2)),
        ]
        for _ in 0..<2 {
            try catalog.writer.move(moves)
            let reader = try catalog.reader()
            #expect(try reader.location(ofBlob: first.blobID)?.0 == location(8192, writer: 2))
            #expect(try reader.location(ofBlob: Samples.instance(2, 1, 1).blobID)?.0 == location(12_288))
            #expect(try reader.garbage(writer: 2, segment: 1) == [4096: second.blobID])
            #expect(try reader.garbage(writer: 1, segment: 1) == [:])
        }
        #expect(try catalog.find(.instance) == [Self.first, Self.other])
    }

    @Test("The garbage of a segment is forgotten with it, that of others and of its next generation stays")
    func forgetting() throws {
        for number in 1...4 { try catalog.add(Samples.instance(1, 1, number)) }
        try catalog.apply([Samples.tombstone(.study, "1.1"), Samples.purge(5)])
        let moved = Samples.instance(1, 1, 4)
        try catalog.writer.move([(moved.blobID, location(4 * 4096), location(4096, writer: 2))])
        try catalog.writer.forgetGarbage(writer: 1, segment: 2)
        #expect(try catalog.reader().garbage(writer: 1, segment: 1).count == 3)
        try catalog.writer.forgetGarbage(writer: 1, segment: 1)
        let garbage = try catalog.reader().garbage()
        #expect(garbage.map(\.writer) == [2] && garbage.map(\.bytes) == [4096])
        try catalog.writer.synchronize()
    }

    @Test("A rule in force is the last one")
    func settings() throws {
        #expect(try catalog.reader().setting("retention") == nil)
        try catalog.apply([
            .setting(sequence: 0, name: "retention", value: "[]"),
            .setting(sequence: 0, name: "retention", value: "[1]"),
            .setting(sequence: 0, name: "other", value: "x"),
        ])
        #expect(try catalog.reader().setting("retention") == "[1]")
    }
}

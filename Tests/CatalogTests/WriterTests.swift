// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Catalog

@Suite("Taking events")
struct WriterTests {
    private let catalog: TestCatalog

    init() throws { catalog = try TestCatalog() }

    private func row(_ level: CatalogLevel, _ key: String, organisation: String = "A") throws -> CatalogRow {
        let column: CatalogColumn = [.patientID, .studyInstanceUID, .seriesInstanceUID, .sopInstanceUID][level.rawValue]
        var query = CatalogQuery(level: level, scope: .everything(as: organisation))
        query.conditions = [CatalogCondition(column: column, match: .equals(key))]
        return try #require(try catalog.rows(query).first)
    }

    @Test("An empty catalog has come nowhere")
    func empty() throws {
        #expect(try catalog.reader().position() == nil)
        #expect(try catalog.reader().statistics() == CatalogStatistics())
        #expect(try catalog.find(.patient) == [])
    }

    @Test("Counts of every level follow what was inserted")
    func counts() throws {
        try catalog.add(
            Samples.instance(1, 1, 1), Samples.instance(1, 1, 2), Samples.instance(1, 2, 1, [.modality: "PR"]),
            Samples.instance(2, 1, 1, [.patientID: "P1", .patientName: "Name1^Given"]), Samples.instance(3, 1, 1))
        let patient = try row(.patient, "P1")
        #expect(patient.numberOfPatientRelatedStudies == 2)
        #expect(patient.numberOfPatientRelatedSeries == 3)
        #expect(patient.numberOfPatientRelatedInstances == 4)
        let study = try row(.study, "1.1")
        #expect(study.numberOfStudyRelatedSeries == 2 && study.numberOfStudyRelatedInstances == 3)
        #expect(study.modalitiesInStudy == ["CT", "PR"])
        #expect(study.sopClassesInStudy == ["1.2.840.10008.5.1.4.1.1.2"])
        #expect(try row(.series, "1.1.1").numberOfSeriesRelatedInstances == 2)
        let statistics = try catalog.reader().statistics()
        #expect(statistics.patients == 2 && statistics.studies == 3)
        #expect(statistics.series == 4 && statistics.instances == 5)
        #expect(statistics.versions == 5 && statistics.storedBytes == 5000 && statistics.flagged == 0)
        #expect(
            try catalog.reader().position() == CatalogPosition(sequence: 5, writer: 1, segment: 1, endOffset: 6 * 4096))
    }

    @Test("A replay shares transactions: what is committed is a whole number of batches, and the rest comes at its end")
    func replay() throws {
        let writer = catalog.writer
        writer.beginReplay()
        let events = (1...30_000).map { CatalogEvent.other(sequence: UInt64($0)) }
        for start in stride(from: 0, to: 30_000, by: 4000) {
            let end = min(start + 4000, 30_000)
            let position = CatalogPosition(sequence: UInt64(end), writer: 1, segment: 1, endOffset: UInt64(end))
            try writer.apply(Array(events[start..<end]), position: position)
        }
        #expect(try catalog.reader().position()?.sequence == 20_000 && writer.position?.sequence == 20_000)
        try writer.endReplay()
        #expect(try catalog.reader().position()?.sequence == 30_000 && writer.position?.sequence == 30_000)
        let last = CatalogPosition(sequence: 30_001, writer: 1, segment: 1, endOffset: 30_001)
        try writer.apply([.other(sequence: 30_001)], position: last)
        #expect(try catalog.reader().position() == last)
    }

    @Test("A row brings its own values and those above it")
    func values() throws {
        try catalog.add(Samples.instance(1, 1, 1, [.studyDescription: "Schädel", .rows: "512"]))
        let row = try row(.instance, "1.1.1.1")
        #expect(row[.patientName] == "Name1^Given" && row[.studyDescription] == "Schädel" && row[.rows] == "512")
        #expect(row[.seriesDescription] == nil)
        #expect(row.representative?.location.offset == 4096)
        #expect(row.representative?.transferSyntaxUID == "1.2.840.10008.1.2.1")
    }

    @Test("A study that names two patients is found under both and flagged")
    func twoPatients() throws {
        try catalog.add(
            Samples.instance(1, 1, 1), Samples.instance(1, 1, 2, [.patientID: "Q", .patientName: "Other^One"]))
        #expect(try catalog.find(.study, (.patientID, .equals("P1"))) == ["1.1"])
        #expect(try catalog.find(.study, (.patientID, .equals("Q"))) == ["1.1"])
        #expect(try catalog.find(.study, (.patientID, .anyOf(["P1", "Q"]))) == ["1.1"])
        #expect(try catalog.find(.patient) == ["P1", "Q"])
        #expect(try row(.study, "1.1").flags == .conflict)
        #expect(try row(.patient, "Q").numberOfPatientRelatedStudies == 1)
        #expect(try row(.patient, "Q").representative?.sopInstanceUID == "1.1.1.1")
        var both = query(.study, .patientID, "")
        both.conditions = [CatalogCondition(column: .patientID, match: .anyOf(["Q", "P1"]))]
        #expect(try catalog.rows(both).map { $0[.patientID] } == ["P1"])
        let found = try catalog.rows(query(.study, .patientID, "Q"))
        #expect(found.map { $0[.patientID] } == ["Q"])
    }

    private func query(_ level: CatalogLevel, _ column: CatalogColumn, _ value: String) -> CatalogQuery {
        var query = CatalogQuery(level: level, scope: .everything(as: "A"))
        query.conditions = [CatalogCondition(column: column, match: .equals(value))]
        return query
    }

    @Test("A series that comes under a second study stays where each sender put it, and is flagged in both")
    func seriesConflict() throws {
        try catalog.add(Samples.instance(1, 1, 1), Samples.instance(1, 1, 2, [.studyInstanceUID: "1.99"]))
        let series = try catalog.rows(query(.series, .seriesInstanceUID, "1.1.1"))
        #expect(series.map { $0[.studyInstanceUID] } == ["1.1", "1.99"])
        #expect(series.allSatisfy { $0.flags == .conflict && $0.numberOfSeriesRelatedInstances == 1 })
        for (study, instance) in [("1.1", "1.1.1.1"), ("1.99", "1.1.1.2")] {
            #expect(try row(.study, study).numberOfStudyRelatedInstances == 1)
            #expect(try catalog.find(.instance, (.studyInstanceUID, .equals(study))) == [instance])
        }
    }

    @Test("An instance that comes under a second series stays where each sender put it, and is flagged in both")
    func instanceConflict() throws {
        try catalog.add(
            Samples.instance(1, 1, 1),
            Samples.instance(1, 1, 1, organisation: "B", content: 1, [.seriesInstanceUID: "1.1.77"]))
        let instances = try catalog.rows(query(.instance, .sopInstanceUID, "1.1.1.1"))
        #expect(instances.map { $0[.seriesInstanceUID] } == ["1.1.1", "1.1.77"])
        #expect(instances.allSatisfy { $0.flags == .conflict })
        #expect(instances.map { $0.representative?.sequence } == [1, 2])
        #expect(try row(.study, "1.1").numberOfStudyRelatedInstances == 2)
    }

    @Test("The same patient ID with another issuer is another patient")
    func issuers() throws {
        try catalog.add(
            Samples.instance(1, 1, 1, [.patientID: "7", .issuerOfPatientID: "NORD"]),
            Samples.instance(2, 1, 1, [.patientID: "7", .issuerOfPatientID: "SUED"]),
            Samples.instance(3, 1, 1, [.patientID: "7"]))
        #expect(try catalog.find(.patient, (.patientID, .equals("7"))).count == 3)
        #expect(
            try catalog.find(.study, (.patientID, .equals("7")), (.issuerOfPatientID, .equals("SUED"))) == ["1.2"])
    }

    @Test("Studies without a patient ID have a patient each")
    func nameless() throws {
        try catalog.add(
            Samples.instance(1, 1, 1, [.patientID: ""]), Samples.instance(2, 1, 1, [.patientID: ""]),
            Samples.instance(2, 1, 2, [.patientID: ""]))
        #expect(try catalog.reader().statistics().patients == 2)
        #expect(try row(.study, "1.2").flags == [])
    }

    @Test("A faulty UID is flagged")
    func faulty() throws {
        var instance = Samples.instance(1, 1, 1)
        instance.flags = 1
        try catalog.add(instance)
        #expect(try row(.instance, "1.1.1.1").flags == .faultyUID)
        #expect(try catalog.reader().statistics().flagged == 1)
    }

    // MARK: Versions

    @Test("Each organisation gets the newest version that it sent, a third the first sender's")
    func versions() throws {
        try catalog.add(
            Samples.instance(1, 1, 1, organisation: "A"),
            Samples.instance(1, 1, 1, organisation: "B", content: 1),
            Samples.instance(1, 1, 1, organisation: "A", content: 2),
            Samples.instance(1, 1, 1, organisation: "B", content: 3))
        let got = try ["A", "B", "C", ""].map {
            try row(.instance, "1.1.1.1", organisation: $0).representative?.sequence
        }
        #expect(got == [3, 4, 3, 3])
        let versions = try catalog.reader().versions(sopInstanceUID: "1.1.1.1")
        #expect(versions.map(\.sequence) == [1, 2, 3, 4])
        #expect(versions.map(\.organisation) == ["A", "B", "A", "B"])
        #expect(try row(.instance, "1.1.1.1").flags == .conflict)
        #expect(try row(.series, "1.1.1").numberOfSeriesRelatedInstances == 1)
        let statistics = try catalog.reader().statistics()
        #expect(statistics.instances == 1 && statistics.versions == 4)
    }

    @Test("A retrieval gets one version of each instance, in the order of the disk")
    func selection() throws {
        try catalog.add(
            Samples.instance(1, 1, 2), Samples.instance(1, 1, 1),
            Samples.instance(1, 1, 1, organisation: "B", content: 1),
            Samples.instance(2, 1, 1))
        let readers = try CatalogReaders(path: catalog.path, maximum: 2)
        var selection = CatalogSelection()
        selection.studyInstanceUIDs = ["1.1"]
        #expect(try readers.versions(selection, scope: .everything(as: "A")).map(\.sequence) == [1, 2])
        #expect(try readers.versions(selection, scope: .everything(as: "B")).map(\.sequence) == [1, 3])
        #expect(try readers.versions(selection, scope: .everything(as: "C")).map(\.sequence) == [1, 2])
        selection.patientID = ("P2", nil)
        #expect(try readers.versions(selection, scope: .everything(as: "A")).isEmpty)
    }

    @Test("More instances than a page are all retrieved, once each")
    func manyPages() throws {
        try catalog.apply((1...2500).map { .instance(Samples.instance(1, 1 + $0 % 3, $0)) })
        var selection = CatalogSelection()
        selection.studyInstanceUIDs = ["1.1"]
        let versions = try CatalogReaders(path: catalog.path).versions(selection, scope: .everything(as: "A"))
        #expect(versions.map(\.sequence) == (1...2500).map { UInt64($0) })
    }

    @Test("A sighting gives an organisation the version that it sent, and is counted")
    func sightings() throws {
        let first = Samples.instance(1, 1, 1, organisation: "A")
        let second = Samples.instance(1, 1, 1, organisation: "B", content: 1)
        try catalog.apply([.instance(first), .instance(second), Samples.sighting(of: second, organisation: "C")])
        #expect(try row(.instance, "1.1.1.1", organisation: "C").representative?.sequence == 2)
        #expect(try row(.instance, "1.1.1.1", organisation: "D").representative?.sequence == 1)
        let statistics = try catalog.reader().statistics()
        #expect(statistics.sightings == 1 && statistics.savedBytes == 1000 && statistics.instances == 1)
    }

    @Test("An original that comes again does not undo the correction in between")
    func originalAgain() throws {
        let original = Samples.instance(1, 1, 1)
        try catalog.apply([
            .instance(original), .instance(Samples.instance(1, 1, 1, content: 1)),
            Samples.sighting(of: original, organisation: "A"),
        ])
        #expect(try row(.instance, "1.1.1.1").representative?.sequence == 2)
    }

    @Test("Texts that differ in their bytes alone are different ones, also to what the writer remembers")
    func equivalentTexts() throws {
        let letters = ["\u{E9}", "e\u{301}"]
        try catalog.apply(
            letters.enumerated().flatMap { number, letter in
                [
                    .instance(Samples.instance(1, 1 + number, 1, [.modality: letter])),
                    .instance(Samples.instance(2, 1, 1 + number, [.studyInstanceUID: "1.2" + letter])),
                ]
            })
        #expect(try catalog.select("SELECT count(*) FROM study_content WHERE organisation = 0 AND kind = 1") == ["4"])
        #expect(try catalog.select("SELECT count(*) FROM study") == ["3"])
        #expect(try catalog.miscounted() == [])
    }

    @Test("A sighting of something unknown changes nothing")
    func unknownSighting() throws {
        try catalog.apply([Samples.sighting(of: Samples.instance(1, 1, 1), organisation: "A")])
        #expect(try catalog.reader().statistics() == CatalogStatistics())
        #expect(try catalog.reader().position()?.sequence == 1)
    }

    @Test("Known content that is written again sends readers to the new copy")
    func healing() throws {
        let instance = Samples.instance(1, 1, 1)
        try catalog.add(instance, Samples.instance(1, 1, 2))
        try catalog.add(instance)
        let version = try #require(try row(.instance, "1.1.1.1").representative)
        #expect(version.location.offset == 3 * 4096 && version.sequence == 1)
        #expect(try catalog.reader().location(ofBlob: instance.blobID)?.0.offset == 3 * 4096)
        let statistics = try catalog.reader().statistics()
        #expect(statistics.instances == 2 && statistics.versions == 2 && statistics.storedBytes == 2000)
    }

    // MARK: Replay

    @Test("Events that were applied before are passed over")
    func idempotent() throws {
        try catalog.apply(WriterTests.history)
        let before = try catalog.dump()
        let again = WriterTests.history.enumerated().map { $1.numbered(UInt64($0 + 1)) }
        try catalog.applyAsNumbered(again)
        #expect(try catalog.dump() == before)
        try catalog.applyAsNumbered(Array(again.suffix(3)))
        #expect(try catalog.dump() == before)
    }

    @Test("A rebuild gives the same tables, whatever the batches", arguments: [1, 2, 7, 50, 100_000])
    func rebuild(batch: Int) throws {
        try catalog.apply(WriterTests.history)
        let rebuilt = try TestCatalog()
        for start in stride(from: 0, to: WriterTests.history.count, by: batch) {
            try rebuilt.apply(Array(WriterTests.history[start..<min(start + batch, WriterTests.history.count)]))
        }
        let (left, right) = (try catalog.dump(), try rebuilt.dump())
        #expect(left.count > 200)
        #expect(left == right)
    }

    @Test("A rebuild by a writer that was opened anew for each batch gives the same tables")
    func rebuildWithRestarts() throws {
        try catalog.apply(WriterTests.history)
        let rebuilt = try TestCatalog()
        let numbered = WriterTests.history.enumerated().map { $1.numbered(UInt64($0 + 1)) }
        for start in stride(from: 0, to: numbered.count, by: 20) {
            let part = Array(numbered[start..<min(start + 20, numbered.count)])
            let writer = try CatalogWriter(path: rebuilt.path)
            let last = part.last!.sequence
            try writer.apply(
                part, position: CatalogPosition(sequence: last, writer: 1, segment: 1, endOffset: (last + 1) * 4096))
            writer.close()
        }
        #expect(try rebuilt.dump() == (try catalog.dump()))
    }

    @Test("Maintained counts are what a recount gives")
    func recount() throws {
        try catalog.apply(WriterTests.history)
        #expect(try catalog.miscounted() == [])
    }

    @Test("An organisation that sends known content again is counted like the first one")
    func countsOfLaterSenders() throws {
        let instance = Samples.instance(1, 1, 1)
        try catalog.apply([.instance(instance), Samples.sighting(of: instance, organisation: "B")])
        try catalog.apply([Samples.sighting(of: instance, organisation: "B")])
        #expect(
            try catalog.select("SELECT series, instances FROM study_count ORDER BY organisation") == ["1|1", "1|1"])
        #expect(try catalog.select("SELECT count(DISTINCT organisation) FROM study_content") == ["3"])
    }

    @Test(
        "The modalities of a study are told, however many and however odd",
        arguments: [
            [], ["CT"], (1...32).map { "M\($0)" }, (1...40).map { "M\($0)" }, ["A\\B", "C"], ["Ж", "\u{301}"],
            [String(repeating: "A", count: 600), String(repeating: "B", count: 600)],
        ])
    func modalities(_ modalities: [String]) throws {
        for (index, modality) in modalities.enumerated() {
            try catalog.add(Samples.instance(1, index, 1, [.modality: modality]))
        }
        if modalities.isEmpty { try catalog.add(Samples.instance(1, 1, 1, [.modality: ""])) }
        let study = try row(.study, "1.1")
        #expect(
            study.modalitiesInStudy.map { Array($0.utf8) }
                == modalities.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) })
        #expect(study.sopClassesInStudy == ["1.2.840.10008.5.1.4.1.1.2"])
    }

    @Test("A position that goes back changes nothing")
    func positionGoesBack() throws {
        let instance = Samples.instance(1, 1, 1)
        let again = Samples.sighting(of: instance, organisation: "A")
        let events = [CatalogEvent.instance(instance).numbered(1), again.numbered(2), again.numbered(3)]
        try catalog.applyAsNumbered(events)
        let before = try catalog.dump()
        try catalog.applyAsNumbered([events[0]])
        try catalog.applyAsNumbered([events[1], events[2]])
        #expect(try catalog.dump() == before)
    }

    @Test("A batch that fails leaves nothing behind, and the next one is applied in full")
    func rollback() throws {
        try catalog.add(Samples.instance(1, 1, 1))
        let before = try catalog.dump()
        _ = try catalog.select("ALTER TABLE version RENAME TO aside")
        #expect(throws: CatalogError.self) { try catalog.add(Samples.instance(2, 1, 1)) }
        _ = try catalog.select("ALTER TABLE aside RENAME TO version")
        #expect(try catalog.dump() == before)
        try catalog.applyAsNumbered([CatalogEvent.instance(Samples.instance(2, 1, 1)).numbered(2)])
        #expect(try catalog.find(.study) == ["1.1", "1.2"])
        #expect(try catalog.reader().statistics().patients == 2)
    }

    @Test("The write-ahead log begins anew under commits without a pause, and readers see all of them")
    func writeAheadLog() throws {
        let checkpointer = try CatalogCheckpointer(
            path: catalog.path, turn: catalog.writer.turn, pagesMaximum: 1000, intervalSeconds: 0.02)
        var number = 0
        var restarts = 0
        var last = 0
        while restarts < 3, number < 4000 {
            number += 1
            try catalog.add(Samples.instance(number, 1, 1))
            let pages = catalog.writer.database.writeAheadPages
            restarts += pages < last ? 1 : 0
            last = pages
            if number % 100 == 0 {
                #expect(try catalog.find(.study).count == number)
                #expect(try catalog.select("PRAGMA quick_check") == ["ok"])
            }
        }
        checkpointer.stop()
        #expect(restarts == 3, "\(last) pages after \(number) commits")
        #expect(try catalog.find(.study).count == number)
    }

    @Test("A catalog of a newer schema is refused")
    func newerSchema() throws {
        _ = try catalog.select("UPDATE meta SET value = 1000 WHERE key = 'schema'")
        let error = #expect(throws: CatalogError.self) { try CatalogWriter(path: catalog.path) }
        #expect(error?.kind == .newerSchema)
    }

    @Test("A catalog of an older schema begins anew, to be replayed from the log")
    func olderSchema() throws {
        try catalog.add(Samples.instance(1, 1, 1))
        _ = try catalog.select("UPDATE meta SET value = 1 WHERE key = 'schema'")
        // What only reads cannot make it anew, and says so.
        let error = #expect(throws: CatalogError.self) { try CatalogReaders(path: catalog.path) }
        #expect(error?.kind == .other)
        catalog.writer.close()
        let writer = try CatalogWriter(path: catalog.path)
        defer { writer.close() }
        #expect(writer.position == nil)
        #expect(try catalog.find(.study) == [])
    }

    @Test("A file that is no database is called corrupt")
    func corrupt() throws {
        let path = "\(catalog.folder)/other.db"
        try Data([UInt8](repeating: 0x41, count: 10_000)).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: CatalogError.self) { try CatalogWriter(path: path) }
        #expect(error?.kind == .corrupt)
    }

    /// Everything that can happen, several times: versions, sightings, healing, conflicts, missing and odd values.
    static let history: [CatalogEvent] = (0..<200).map { number in
        let study = number % 7
        let organisation = ["A", "B", "C"][number % 3]
        switch number % 10 {
        case 3:
            return .instance(
                Samples.instance(study, number % 4, number % 20, organisation: organisation, content: number))
        case 5:
            return Samples.sighting(of: Samples.instance(study, number % 4, number % 20), organisation: organisation)
        case 6:
            return .instance(
                Samples.instance(study, 9, number, organisation: organisation, [.patientID: "P\(number % 4)"]))
        case 7:
            return .instance(
                Samples.instance(study, 1, number, [.studyInstanceUID: "1.\(number % 5)", .patientName: "漢字=かな"]))
        case 8:
            return .instance(
                Samples.instance(study, 3, number, [.patientID: "", .modality: number % 4 == 0 ? "" : "MR"]))
        case 9: return .other(sequence: 0)
        default:
            return .instance(
                Samples.instance(study, number % 4, number % 20, organisation: organisation, requests: [request]))
        }
    }

    static let request = CatalogRequest(
        requestedProcedureID: "RP1", scheduledProcedureStepID: "SPS1", accessionNumber: "A1",
        requestedProcedureDescription: "Head", scheduledProcedureStepDescription: "Head CT")
}

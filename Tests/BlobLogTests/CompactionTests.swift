// SPDX-License-Identifier: Apache-2.0
import Foundation
import Platform
import Testing

@testable import BlobLog

@Suite("Compaction")
struct CompactionTests {
    private let folder: Folder

    init() throws { folder = try Folder() }

    /// Short ones, and such as begin at a page of their own or take many chunks.
    private static let payloads = [100, 5000, 70_000, 65_536, 1, 300_000, 4096].enumerated().map {
        Samples.bytes($1, seed: UInt64($0 + 1))
    }

    /// A log whose segment 1 is sealed: the payloads, and between them a sighting, a tombstone and an annotation.
    private func fill() throws -> (session: Session, locations: [RecordLocation]) {
        let session = try Session(folder)
        var locations: [RecordLocation] = []
        for (index, payload) in Self.payloads.enumerated() {
            locations += try session.append(payload)
            let kinds: [RecordHeader.Kind] = [.sighting, .tombstone, .annotation]
            if index < kinds.count { _ = try session.writer.append([control(kinds[index], payload)]) }
        }
        session.writer.seal()
        try session.append(Samples.bytes(50, seed: 90))
        return (session, locations)
    }

    private func control(_ kind: RecordHeader.Kind, _ payload: [UInt8]) -> NewRecord {
        NewRecord(
            kind: kind, receivedAtNanoseconds: 5, blobID: Samples.blobID(payload),
            provenance: Samples.provenance.encoded())
    }

    private func compaction(_ session: Session, _ generation: UInt32 = 1) -> SegmentCompaction {
        SegmentCompaction(session.log, number: 1, generation: generation)
    }

    private func path(_ generation: UInt32, _ number: UInt32 = 1) -> String {
        "\(folder.path)/segments/\(String(format: "%08x-%08x", generation, number)).seg"
    }

    private func segments() throws -> [String] { try Disk.entries("\(folder.path)/segments").sorted() }

    private func everything(_ compaction: SegmentCompaction, without garbage: Set<UInt64> = []) throws -> Bool {
        try compaction.write(isGarbage: { garbage.contains($0) }, pace: { _ in true })
    }

    /// The bytes of a record, without the part of its header that says where it stands.
    private func bytes(_ location: RecordLocation) throws -> [UInt8] {
        let all = try Disk.bytes(path(location.writer, location.segment))
        let record = Array(all[Int(location.offset)..<Int(location.offset + location.length)])
        return Array(record[..<240]) + record[256...]
    }

    @Test("What is alive is copied byte for byte with its number, and found by the moves; garbage is not")
    func copies() throws {
        let (session, locations) = try fill()
        let garbage = Set([locations[1], locations[2], locations[5]].map(\.offset))
        let compaction = compaction(session)
        var paced = 0
        #expect(
            try compaction.write(isGarbage: { garbage.contains($0) }) { count in
                paced += count
                return true
            })
        #expect(try segments() == ["00000001-00000001.seg", "00000001-00000002.seg", "00000002-00000001.seg"])
        #expect(UInt64(paced) >= (try Disk.size(path(2))) - 4096)
        let moves = try compaction.moves()
        #expect(moves.map(\.from) == locations.filter { !garbage.contains($0.offset) })
        for move in moves {
            #expect(move.to.writer == 2 && move.to.segment == 1 && move.to.length == move.from.length)
            #expect(try bytes(move.to) == (try bytes(move.from)))
            let (old, new) = (try session.log.reader.record(at: move.from), try session.log.reader.record(at: move.to))
            #expect(old.header == new.header && old.header.blobID == move.blobID)
            #expect(try session.payload(at: move.to) == (try session.payload(at: move.from)))
        }
        let freed = try Disk.size(path(1)) - (try Disk.size(path(2)))
        #expect(freed == [1, 2, 5].reduce(0) { $0 + locations[$1].length })
        #expect(try compaction.removeOld() == freed)
        #expect(try segments() == ["00000001-00000002.seg", "00000002-00000001.seg"])
        #expect(try session.payload(at: moves[0].to) == Self.payloads[0])
    }

    @Test("Sightings, tombstones and annotations are never dropped")
    func controlRecords() throws {
        let (session, _) = try fill()
        let compaction = compaction(session)
        #expect(try compaction.write(isGarbage: { _ in true }, pace: { _ in true }))
        #expect(try compaction.moves().isEmpty)
        _ = try compaction.removeOld()
        var kinds: [RecordHeader.Kind?] = []
        try session.log.forEachRecord({ kinds.append($0.header.kind) }, gap: { _ in Issue.record("a gap") })
        #expect(kinds == [.sighting, .tombstone, .annotation, .instance])
    }

    @Test("Of garbage whose content stands elsewhere a sighting is left, with its number and time")
    func leavesSighting() throws {
        var own: [Provenance?] = []
        do {
            let (session, locations) = try fill()
            // One whose provenance cannot be read, which somebody else may know.
            try Disk.flip(path(1), at: locations[1].offset + 258)
            let compaction = compaction(session)
            #expect(
                try compaction.write(
                    isGarbage: { $0 <= locations[2].offset },
                    sighting: { offset, _, provenance in
                        own.append(provenance)
                        guard offset != locations[2].offset else { return nil }
                        var left = Samples.provenance
                        left[.note] = "left"
                        return left
                    }, pace: { _ in true }))
            #expect(try compaction.moves().map(\.from) == Array(locations[3...]))
            _ = try compaction.removeOld()
        }
        #expect(own == [Samples.provenance, nil, Samples.provenance])
        let session = try Session(folder)
        #expect(session.report.gaps.isEmpty && session.sequences == (1...11).filter { $0 != 5 })
        for (sequence, payload) in zip([1, 3] as [UInt64], Self.payloads) {
            let record = try #require(session.replayed.first { $0.header.sequence == sequence })
            #expect(record.header.kind == .sighting && record.header.recordLength == 4096)
            #expect(record.header.blobID == Samples.blobID(payload) && record.provenance[.note] == "left")
            #expect(record.header.receivedAtNanoseconds == 1_700_000_000_000_000_000)
            #expect(record.header.durableSequence == sequence - 1)
        }
    }

    @Test("A start replays what is left in the order of its numbers, also behind a position in the old segment")
    func replay() throws {
        let position: LogPosition
        let last: UInt64
        do {
            let (session, locations) = try fill()
            last = session.writer.position.sequence
            let compaction = compaction(session)
            #expect(try everything(compaction, without: [locations[0].offset, locations[3].offset]))
            _ = try compaction.removeOld()
            position = LogPosition(sequence: 4, segment: 1, endOffset: locations[2].offset)
        }
        do {
            let session = try Session(folder)
            #expect(session.sequences == (1...last).filter { $0 != 1 && $0 != 7 })
            #expect(session.report.gaps.isEmpty && session.report.missing.isEmpty && session.report.cutBytes == 0)
        }
        let session = try Session(folder, from: position)
        #expect(session.sequences == (5...last).filter { $0 != 7 })
        #expect(try session.append(Samples.bytes(10, seed: 91)).map(\.writer) == [1])
        #expect(session.writer.position.sequence == last + 1)
    }

    @Test("A segment may be compacted again")
    func again() throws {
        let (session, locations) = try fill()
        let first = compaction(session)
        #expect(try everything(first, without: [locations[0].offset]))
        let moved = try first.moves()
        _ = try first.removeOld()
        let second = compaction(session, 2)
        #expect(try everything(second, without: [moved[0].to.offset]))
        let moves = try second.moves()
        #expect(moves.map(\.blobID) == moved.dropFirst().map(\.blobID))
        #expect(moves.map(\.from) == moved.dropFirst().map(\.to))
        _ = try second.removeOld()
        #expect(try segments() == ["00000001-00000002.seg", "00000003-00000001.seg"])
        for (move, payload) in zip(moves, Self.payloads.dropFirst(2)) {
            #expect(try session.payload(at: move.to) == payload)
        }
    }

    @Test("Whoever has the old segment open reads on")
    func openReaders() throws {
        let (session, locations) = try fill()
        let record = try session.log.reader.record(at: locations[5])
        let compaction = compaction(session)
        #expect(try everything(compaction, without: [locations[5].offset]))
        _ = try compaction.removeOld()
        #expect(try record.bytes(0..<record.header.payloadLength) == Self.payloads[5])
        #expect(throws: LogError.self) { try session.log.reader.record(at: locations[5]) }
    }

    // MARK: Manifest

    @Test("The manifest lists the generation that is there, and misses nothing")
    func manifest() throws {
        let (session, locations) = try fill()
        let compaction = compaction(session)
        #expect(try everything(compaction, without: [locations[2].offset]))
        #expect(try Manifest.load(session.directory)?.sealed.map(\.generation) == [1])
        #expect(try Manifest.load(session.directory)?.missing(in: session.directory).isEmpty == true)
        let manifest = try Manifest.update(session.directory)
        #expect(manifest.sealed == [.init(number: 1, generation: 2, bytes: try Disk.size(path(2)))])
        _ = try compaction.removeOld()
        #expect(try manifest.missing(in: session.directory, reached: 2).isEmpty)
        unlink(path(2))
        #expect(try manifest.missing(in: session.directory).map(\.number) == [1])
    }

    // MARK: Interrupted

    @Test("Who gives up leaves nothing behind", arguments: [0, 1, 5, 12])
    func givingUp(after pieces: Int) throws {
        let (session, locations) = try fill()
        let before = try Disk.bytes(path(1))
        var left = pieces
        let compaction = compaction(session)
        #expect(
            try !compaction.write(isGarbage: { $0 == locations[0].offset }) { _ in
                left -= 1
                return left >= 0
            })
        #expect(try segments() == ["00000001-00000001.seg", "00000001-00000002.seg"])
        #expect(try Disk.bytes(path(1)) == before)
        #expect(try session.payload(at: locations[5]) == Self.payloads[5])
    }

    @Test("What an interrupted one had written is no segment, and is written anew or removed")
    func leftover() throws {
        let unfinished = path(2) + ".new"
        do {
            let (session, locations) = try fill()
            try Disk.write(unfinished, Samples.bytes(10_000, seed: 3))
            #expect(try session.log.supersededSegments().isEmpty)
            #expect(try session.payload(at: locations[0]) == Self.payloads[0])
            #expect(try everything(compaction(session), without: [locations[0].offset]))
            #expect(!FileSystem.exists(unfinished))
            _ = try compaction(session).removeOld()
        }
        let later = path(3) + ".new"
        try Disk.write(later, Samples.bytes(10_000, seed: 3))
        let session = try Session(folder)
        #expect(session.report.gaps.isEmpty)
        try session.log.removeUnfinishedSegments()
        #expect(try segments() == ["00000001-00000002.seg", "00000002-00000001.seg"])
    }

    @Test("With both generations there, the later one is replayed, and the same moves end the compaction")
    func bothGenerations() throws {
        let locations: [RecordLocation]
        let moves: [(RecordLocation, RecordLocation)]
        do {
            let (session, all) = try fill()
            locations = all
            let compaction = compaction(session)
            #expect(try everything(compaction, without: [locations[4].offset]))
            moves = try compaction.moves().map { ($0.from, $0.to) }
        }
        let session = try Session(folder)
        #expect(session.sequences.count == Set(session.sequences).count && session.sequences.count == 10)
        #expect(session.replayed.filter { $0.location.segment == 1 }.allSatisfy { $0.location.writer == 2 })
        let leftovers = try session.log.supersededSegments()
        #expect(leftovers.map(\.generation) == [1] && leftovers.map(\.number) == [1])
        let compaction = compaction(session)
        let again = try compaction.moves()
        #expect(again.map(\.from) == moves.map(\.0) && again.map(\.to) == moves.map(\.1))
        #expect(try compaction.removeOld() == locations[4].length)
        #expect(try session.log.supersededSegments().isEmpty)
        for move in again {
            #expect(
                try session.payload(at: move.to) == Self.payloads[try #require(locations.firstIndex(of: move.from))])
        }
    }

    // MARK: Damage

    /// Nothing may have changed.
    private func expectRefused(_ session: Session, garbage: Set<UInt64> = []) throws {
        let before = try Disk.bytes(path(1))
        let error = #expect(throws: LogError.self) { try everything(compaction(session), without: garbage) }
        #expect(error?.isDamage == true)
        #expect(try segments() == ["00000001-00000001.seg", "00000001-00000002.seg"])
        #expect(try Disk.bytes(path(1)) == before)
    }

    @Test("A segment in which a header cannot be read is left as it is", arguments: [0, 3, 6])
    func damagedHeader(index: Int) throws {
        let (session, locations) = try fill()
        try Disk.flip(path(1), at: locations[index].offset + 40)
        try expectRefused(session)
        try expectRefused(session, garbage: Set(locations.map(\.offset)))
    }

    @Test("A record that is alive and damaged is not taken for a good copy", arguments: [2, 5])
    func damagedPayload(index: Int) throws {
        let (session, locations) = try fill()
        try Disk.flip(path(1), at: locations[index].offset + locations[index].length - 4096)
        try expectRefused(session, garbage: [locations[0].offset])
        // As garbage it does not stand in the way.
        #expect(try everything(compaction(session), without: [locations[index].offset]))
    }

    @Test("A segment that ends within a record is left as it is")
    func short() throws {
        let (session, locations) = try fill()
        let last = try #require(locations.last)
        try Disk.truncate(path(1), to: last.offset + last.length - 1)
        try expectRefused(session)
    }

    // MARK: Large objects

    private func storeLarge(_ session: Session, seed: UInt64) throws -> (RecordLocation, name: String, payload: [UInt8])
    {
        let payload = Samples.bytes(200_000, seed: seed)
        let file = try LargeObjectFile(session.directory)
        try payload.withRawBytes { bytes throws(LogError) in try file.append(bytes) }
        let blobID = Samples.blobID(payload)
        try file.finish(blobID)
        var record = Samples.record(payload)
        record.kind = .largeInstance
        record.largeNumber = file.number
        record.buffer = nil
        let location = try session.writer.append([record])[0].1
        file.keep(blobID)
        return (location, session.directory.largeName(blobID, number: file.number), payload)
    }

    @Test(
        "A large object goes with its record, one that is alive stays where it is", arguments: [false, true])
    func largeObjects(leavesSighting: Bool) throws {
        let session = try Session(folder)
        let (kept, gone) = (try storeLarge(session, seed: 1), try storeLarge(session, seed: 2))
        session.writer.seal()
        try session.append(Samples.bytes(9))
        let compaction = compaction(session)
        #expect(
            try compaction.write(
                isGarbage: { $0 == gone.0.offset }, sighting: { _, _, own in leavesSighting ? own : nil },
                pace: { _ in true }))
        // Until nobody is sent there any more.
        #expect(try Disk.entries("\(folder.path)/large").count == 2)
        let move = try #require(try compaction.moves().first)
        #expect(move.from == kept.0)
        #expect(try compaction.removeOld() >= (leavesSighting ? 196_000 : 200_000))
        #expect(try Disk.entries("\(folder.path)/large") == [kept.name])
        #expect(try session.payload(at: move.to) == kept.payload)
    }

    @Test("A large object that cannot be removed keeps the old segment, by which the next start finds it")
    func unremovableLargeObject() throws {
        let volume = FaultyVolume()
        let session = try Session(folder, volume: volume)
        let gone = [try storeLarge(session, seed: 1), try storeLarge(session, seed: 2)]
        session.writer.seal()
        try session.append(Samples.bytes(9))
        let compaction = compaction(session)
        #expect(try everything(compaction, without: Set(gone.map(\.0.offset))))
        volume.change { $0.unremovable = gone[1].name }
        #expect(throws: LogError.self) { try compaction.removeOld() }
        #expect(try Disk.entries("\(folder.path)/large") == [gone[1].name])
        #expect(try session.log.supersededSegments().map(\.number) == [1])
        volume.change { $0.unremovable = nil }
        _ = try compaction.removeOld()
        #expect(try Disk.entries("\(folder.path)/large") == [] && session.log.supersededSegments().isEmpty)
    }

    @Test("The same content under a later number keeps its own file")
    func largeObjectAgain() throws {
        let session = try Session(folder)
        let gone = try storeLarge(session, seed: 1)
        session.writer.seal()
        let again = try storeLarge(session, seed: 1)
        #expect(gone.name != again.name)
        let compaction = compaction(session)
        #expect(try everything(compaction, without: [gone.0.offset]))
        _ = try compaction.removeOld()
        #expect(try Disk.entries("\(folder.path)/large") == [again.name])
        #expect(try session.payload(at: again.0) == again.payload)
    }
}

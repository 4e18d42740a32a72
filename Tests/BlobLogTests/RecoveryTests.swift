// SPDX-License-Identifier: Apache-2.0
import Foundation
import Platform
import Testing

@testable import BlobLog

@Suite("Recovery")
struct RecoveryTests {
    private let folder: Folder
    private var segment: String { "\(folder.path)/segments/00000001-00000001.seg" }

    init() throws { folder = try Folder() }

    private init(_ folder: Folder) { self.folder = folder }

    /// Writes batches of payloads and closes the log.
    private func write(_ batches: [[[UInt8]]], segmentBytes: UInt64 = 1 << 30) throws -> [RecordLocation] {
        let session = try Session(folder, segmentBytes: segmentBytes)
        return try batches.flatMap { batch in
            try session.writer.append(batch.map { Samples.record($0) }).map(\.1)
        }
    }

    private func singles(_ count: Int, bytes: Int = 200) -> [[[UInt8]]] {
        (0..<count).map { [Samples.bytes(bytes, seed: UInt64($0))] }
    }

    /// The archive takes a new record and has everything at the next start.
    private func expectGoesOn(_ expected: [UInt64]) throws {
        let payload = Samples.bytes(500, seed: 99)
        let location: RecordLocation
        do {
            let session = try Session(folder)
            location = try session.append(payload)[0]
        }
        let session = try Session(folder)
        #expect(session.sequences.dropLast() == expected[...])
        #expect(session.report.cutBytes == 0)
        #expect(try session.payload(at: location) == payload)
    }

    @Test("An intact log is replayed in full, from anywhere")
    func intact() throws {
        let locations = try write(singles(5))
        #expect(try Session(folder).sequences == [1, 2, 3, 4, 5])
        let third = locations[2]
        let from = LogPosition(sequence: 3, segment: 1, endOffset: third.offset + third.length)
        let session = try Session(folder, from: from)
        #expect(session.sequences == [4, 5] && session.report.gaps.isEmpty && session.report.cutBytes == 0)
        #expect(session.writer.position.sequence == 5)
    }

    @Test("Large records are found whatever lengths follow each other, across segments and damage")
    func large() throws {
        // As slices of series come: many of one length, two series by turns, a small one between.
        let lengths =
            [Int](repeating: 200_000, count: 20) + (0..<12).map { $0 % 2 == 0 ? 150_000 : 210_000 } + [50]
            + [Int](repeating: 131_072, count: 6) + [700_000, 700_000, 9]
        let payloads = lengths.enumerated().map { Samples.bytes($1, seed: UInt64($0)) }
        let locations = try write(payloads.map { [$0] }, segmentBytes: 3 << 20)
        #expect(Set(locations.map(\.segment)).count > 2)
        do {
            let session = try Session(folder)
            #expect(session.sequences == (1...UInt64(lengths.count)).map { $0 })
            for (location, payload) in zip(locations, payloads) {
                #expect(try session.payload(at: location) == payload)
            }
        }
        // The head of one within a run, of which the next ones are asked for before they are reached.
        try Disk.flip(segment, at: locations[7].offset + 4)
        let session = try Session(folder)
        #expect(session.sequences == (1...UInt64(lengths.count)).filter { $0 != 8 })
        #expect(session.report.gaps.count == 1)
    }

    @Test("A position within the last batch loses none of it")
    func withinBatch() throws {
        let locations = try write([[Samples.bytes(9)], (2...5).map { Samples.bytes(9, seed: $0) }])
        let from = LogPosition(sequence: 3, segment: 1, endOffset: locations[2].offset + locations[2].length)
        let session = try Session(folder, from: from)
        #expect(session.sequences == [4, 5] && session.report.cutBytes == 0)
    }

    @Test(
        "A tail that is torn in the last batch is cut before the first bad record",
        arguments: [1, 100, 255, 256, 300, 4095, 4096, 5000, 8191, 8192, 8193, 12_000, 16_383])
    func tornTail(bytes: UInt64) throws {
        // The last batch: two records of 8,192 bytes each.
        let locations = try write(singles(2) + [[Samples.bytes(6000, seed: 7), Samples.bytes(6000, seed: 8)]])
        let start = locations[2].offset
        try Disk.truncate(segment, to: start + bytes)
        let expected: [UInt64] = bytes < 8192 ? [1, 2] : [1, 2, 3]
        do {
            let session = try Session(folder)
            #expect(session.sequences == expected)
            #expect(session.report.cutBytes == (bytes < 8192 ? bytes : bytes - 8192))
            #expect(session.report.gaps.isEmpty)
        }
        #expect(try Disk.size(segment) == (bytes < 8192 ? start : start + 8192))
        try expectGoesOn(expected)
    }

    @Test("Zeros in place of the last batch's end are cut", arguments: [0, 256, 4096, 8000, 8192, 12_000])
    func zeroTail(from: UInt64) throws {
        let locations = try write(singles(2) + [[Samples.bytes(6000, seed: 7), Samples.bytes(6000, seed: 8)]])
        let end = locations[3].offset + locations[3].length
        let start = locations[2].offset + from
        try Disk.write(segment, [UInt8](repeating: 0, count: Int(end - start)), at: start)
        // From 8,000 on, only padding of the first of the two is lost, which is zeros anyway.
        let expected: [UInt64] = from < 8000 ? [1, 2] : [1, 2, 3]
        #expect(try Session(folder).sequences == expected)
        try expectGoesOn(expected)
    }

    @Test("A bad payload in the last batch cuts it, whatever stands behind it", arguments: [0, 1, 2])
    func badPayloadInLastBatch(bad: Int) throws {
        let locations = try write(singles(2) + [(0..<3).map { Samples.bytes(300, seed: 10 + $0) }])
        try Disk.flip(segment, at: locations[2 + bad].offset + 400)
        let expected = (1..<UInt64(3 + bad)).map { $0 }
        do {
            let session = try Session(folder)
            #expect(session.sequences == expected)
            #expect(session.report.cutBytes == UInt64(3 - bad) * 4096)
        }
        try expectGoesOn(expected)
    }

    @Test("A bad header in the last batch cuts it, whatever stands behind it", arguments: [0, 1, 2])
    func badHeaderInLastBatch(bad: Int) throws {
        let locations = try write(singles(2) + [(0..<3).map { Samples.bytes(300, seed: 10 + $0) }])
        try Disk.flip(segment, at: locations[2 + bad].offset + 40)
        let expected = (1..<UInt64(3 + bad)).map { $0 }
        do {
            let session = try Session(folder)
            #expect(session.sequences == expected)
            #expect(session.report.gaps.isEmpty)
        }
        try expectGoesOn(expected)
    }

    // MARK: What a power cut brings back of a batch that an earlier start has cut

    /// Writes the batches `first`, has a start cut all behind the first record as unfinished, and writes `second`.
    /// - Returns: where all of them were, and the segment as it was before the cut.
    private func rewrite(
        _ first: [[[UInt8]]], _ second: [[[UInt8]]]
    ) throws -> (cut: [RecordLocation], written: [RecordLocation], before: [UInt8]) {
        let cut = try write(first)
        let before = try Disk.bytes(segment)
        try Disk.truncate(segment, to: cut[1].offset + 1)
        return (cut, try write(second), before)
    }

    /// The blocks that a record had, given to the file again, show what stood in them before the cut.
    private func bringBack(_ location: RecordLocation, of before: [UInt8]) throws {
        let range = Int(location.offset)..<Int(location.offset + location.length)
        try Disk.write(segment, Array(before[range]), at: location.offset)
    }

    @Test("A record of a batch that was cut, in place of the next one's first, does not stay, whole or not")
    func cutRecordInPlaceOfFirst() throws {
        for isWhole in [false, true] {
            let folder = try Folder()
            let test = RecoveryTests(folder)
            let (cut, written, before) = try test.rewrite(
                [[Samples.bytes(200), Samples.bytes(3000, seed: 2)]],
                [[Samples.bytes(7000, seed: 3), Samples.bytes(300, seed: 4)]])
            #expect(cut[1].offset == written[0].offset && cut[1].length < written[0].length)
            try test.bringBack(cut[1], of: before)
            if !isWhole { try Disk.flip(test.segment, at: cut[1].offset + 2000) }
            do {
                let session = try Session(folder)
                #expect(session.sequences == [1])
                #expect(session.report.gaps.isEmpty)
                #expect(session.writer.position.endOffset == cut[1].offset)
            }
            try test.expectGoesOn([1])
        }
    }

    @Test("A record of a batch that was cut is no proof that the one in front of it was synced")
    func cutRecordBehindLastBatch() throws {
        let (cut, written, before) = try rewrite(
            [(0..<3).map { Samples.bytes(300, seed: $0) }], [[Samples.bytes(400, seed: 8)]])
        #expect(written[0].offset + written[0].length == cut[2].offset)
        try bringBack(cut[2], of: before)
        try Disk.flip(segment, at: written[0].offset + 400)
        #expect(try Session(folder).sequences == [1])
        try expectGoesOn([1])
    }

    @Test("A record of a batch that was cut is not replayed under a number that another has", arguments: [false, true])
    func cutRecordWithUsedNumber(isOneBatch: Bool) throws {
        let (one, long) = (Samples.bytes(200), [Samples.bytes(15_000), Samples.bytes(300, seed: 2)])
        // The later batch is of two records: the second says that all before it was synced.
        let (cut, written, before) = try rewrite(
            isOneBatch ? [[one] + long] : [[one], long],
            [(3..<7).map { Samples.bytes(300, seed: $0) }, [Samples.bytes(7000, seed: 8), Samples.bytes(30, seed: 9)]])
        #expect(cut[2].offset == written[4].offset)
        try bringBack(cut[2], of: before)
        let session = try Session(folder)
        #expect(session.sequences == [1, 2, 3, 4, 5])
        #expect(session.replayed.map(\.location) == [cut[0]] + written[..<4])
    }

    @Test("What a later batch knows to be synced is damaged, not unfinished, if an older record stands there")
    func cutRecordInPlaceOfSynced() throws {
        let (cut, written, before) = try rewrite(
            [[Samples.bytes(200), Samples.bytes(300, seed: 2)]],
            [[Samples.bytes(300, seed: 3), Samples.bytes(300, seed: 4)], [Samples.bytes(300, seed: 5)]])
        try bringBack(cut[1], of: before)
        let session = try Session(folder)
        // Number 2 came back with other content; number 3 and 4 are what was written.
        #expect(session.sequences == [1, 3, 4])
        #expect(
            session.report.gaps
                == [.init(segment: 1, range: written[0].offset..<written[0].offset + written[0].length)])
        #expect(session.report.cutBytes == 0)
    }

    @Test("A bad header at the start of an only batch leaves an empty log")
    func badOnlyBatch() throws {
        let locations = try write([(0..<3).map { Samples.bytes(300, seed: 10 + $0) }])
        try Disk.flip(segment, at: locations[0].offset + 40)
        #expect(try Session(folder).sequences.isEmpty)
        try expectGoesOn([])
    }

    @Test("Damage in the middle is reported, not cut, and what follows is found", arguments: [0, 1, 2, 3])
    func damageInTheMiddle(bad: Int) throws {
        let locations = try write(singles(5, bytes: 20_000))
        try Disk.flip(segment, at: locations[bad].offset + 100)
        let session = try Session(folder)
        #expect(session.sequences == (1...5).filter { $0 != bad + 1 }.map { UInt64($0) })
        let place = locations[bad]
        #expect(session.report.gaps == [.init(segment: 1, range: place.offset..<place.offset + place.length)])
        #expect(session.report.cutBytes == 0)
        #expect(session.writer.position.sequence == 5)
    }

    @Test("Damage in provenance or index counts as damage of the record")
    func damagedMetadata() throws {
        let locations = try write(singles(3))
        try Disk.flip(segment, at: locations[1].offset + 258)
        let session = try Session(folder)
        #expect(session.sequences == [1, 3] && session.report.gaps.count == 1)
    }

    @Test("A damaged payload in the middle keeps its place in the order and is never served")
    func damagedPayload() throws {
        let locations = try write(singles(3, bytes: 3000))
        try Disk.flip(segment, at: locations[1].offset + 2000)
        let session = try Session(folder)
        #expect(session.sequences == [1, 2, 3])
        #expect(throws: LogError.self) { try session.payload(at: locations[1]) }
        #expect(try session.payload(at: locations[2]) == Samples.bytes(3000, seed: 2))
    }

    @Test("Bytes inside a payload that look like a record are not taken for one")
    func recordInPayload() throws {
        let bait: [UInt8]
        do {
            let session = try Session(folder)
            let location = try session.append(Samples.bytes(300))[0]
            bait = Array(try Disk.bytes(segment)[Int(location.offset)..<Int(location.offset + location.length)])
            let overhead = RecordHeader(Samples.record(bait), sequence: 1, durableSequence: 0).payloadOffset
            // The bait stands on a multiple of 4,096, where a reader that has lost its way looks.
            let payload = [UInt8](repeating: 0, count: 8192 - Int(overhead)) + bait + bait
            try session.append(payload)
            try session.append(Samples.bytes(300, seed: 5))
        }
        let file = try Disk.bytes(segment)
        #expect(Array(file[8192 + 8192..<8192 + 12_288]) == bait)
        try Disk.flip(segment, at: 8192 + 20)
        let session = try Session(folder)
        #expect(session.sequences == [1, 3])
        #expect(session.report.gaps.map(\.range) == [8192..<8192 + 4 * 4096])
    }

    @Test("Segments roll over, and reading goes on across them")
    func rollOver() throws {
        let locations = try write(singles(10), segmentBytes: 16_384)
        #expect(locations.map(\.segment) == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4])
        let session = try Session(folder, segmentBytes: 16_384)
        #expect(session.sequences == (1...10).map { UInt64($0) })
        for (index, location) in locations.enumerated() {
            #expect(try session.payload(at: location) == Samples.bytes(200, seed: UInt64(index)))
        }
        let next = try session.append(Samples.bytes(5))[0]
        #expect(next.segment == 4 && next.offset == 8192)
    }

    @Test("Damage at the end of an earlier segment is reported and the later segments stay")
    func damagedEarlierSegment() throws {
        let locations = try write(singles(10), segmentBytes: 16_384)
        try Disk.flip(segment, at: locations[2].offset + 3)
        let session = try Session(folder, segmentBytes: 16_384)
        #expect(session.sequences == [1, 2] + (4...10).map { UInt64($0) })
        #expect(session.report.gaps == [.init(segment: 1, range: 12_288..<16_384)])
    }

    @Test("A segment in the middle whose block is damaged is reported whole")
    func damagedBlock() throws {
        _ = try write(singles(10), segmentBytes: 16_384)
        try Disk.flip("\(folder.path)/segments/00000001-00000002.seg", at: 50)
        let session = try Session(folder, segmentBytes: 16_384)
        #expect(session.sequences == [1, 2, 3, 7, 8, 9, 10])
        #expect(session.report.gaps == [.init(segment: 2, range: 0..<16_384)])
    }

    @Test("A last segment whose block is damaged is never deleted: the start is refused")
    func damagedLastBlock() throws {
        _ = try write(singles(5), segmentBytes: 16_384)
        let last = "\(folder.path)/segments/00000001-00000002.seg"
        let before = try Disk.size(last)
        try Disk.flip(last, at: 50)
        #expect(throws: LogError.self) { try Session(folder, segmentBytes: 16_384) }
        #expect(try Disk.size(last) == before)
        try Disk.flip(last, at: 50)
        #expect(try Session(folder, segmentBytes: 16_384).sequences == [1, 2, 3, 4, 5])
    }

    @Test("A segment whose creation was cut short does not stand in the way", arguments: [0, 50, 96, 4096])
    func unfinishedSegment(bytes: UInt64) throws {
        _ = try write(singles(3), segmentBytes: 16_384)
        let next = "\(folder.path)/segments/00000001-00000002.seg"
        let block = [UInt8]("SNIMOKSG".utf8) + [UInt8](repeating: 0, count: 4088)
        try Disk.write(next, Array(block[..<Int(bytes)]))
        let location: RecordLocation
        do {
            let session = try Session(folder, segmentBytes: 16_384)
            #expect(session.sequences == [1, 2, 3] && session.report.gaps.isEmpty)
            location = try session.append(Samples.bytes(10))[0]
        }
        #expect(location.segment == 2)
        #expect(try Session(folder, segmentBytes: 16_384).sequences == [1, 2, 3, 4])
    }

    @Test("An unfinished first segment does not stand in the way", arguments: [0, 50, 96, 4096])
    func unfinishedFirstSegment(bytes: Int) throws {
        _ = try Session(folder)
        try Disk.write(
            segment, [UInt8]([UInt8]("SNIMOKSG".utf8) + [UInt8](repeating: 0, count: 4088))[..<bytes].map { $0 })
        try expectGoesOn([])
    }

    @Test("A first segment whose block is damaged is never deleted: the start is refused")
    func damagedFirstBlock() throws {
        _ = try write(singles(2))
        try Disk.flip(segment, at: 60)
        #expect(throws: LogError.self) { try Session(folder) }
        try Disk.flip(segment, at: 60)
        #expect(try Session(folder).sequences == [1, 2])
    }

    @Test("Damage in front of the last batch does not give its numbers away again")
    func numbersAfterDamage() throws {
        let locations = try write(singles(2) + [[Samples.bytes(10, seed: 8), Samples.bytes(10, seed: 9)]])
        try Disk.flip(segment, at: locations[1].offset)
        try Disk.flip(segment, at: locations[2].offset)
        let session = try Session(folder)
        #expect(session.sequences == [1])
        #expect(session.writer.position.sequence == 2)
    }

    @Test("A torn first batch of a new segment leaves the log at the old one's end")
    func tornFirstBatchOfSegment() throws {
        let locations = try write(singles(4), segmentBytes: 16_384)
        #expect(locations[3].segment == 2)
        try Disk.truncate("\(folder.path)/segments/00000001-00000002.seg", to: 5000)
        do {
            let session = try Session(folder, segmentBytes: 16_384)
            #expect(session.sequences == [1, 2, 3])
            // The number is used again, by a segment with another secret.
            let location = try session.append(Samples.bytes(77))[0]
            #expect(location.segment == 2)
            #expect(try session.payload(at: location) == Samples.bytes(77))
        }
        #expect(try Session(folder, segmentBytes: 16_384).sequences == [1, 2, 3, 4])
    }

    @Test("Sightings, tombstones, annotations and kinds of later versions are replayed in order")
    func otherKinds() throws {
        do {
            let session = try Session(folder)
            try session.append(Samples.bytes(10))
            for kind in [RecordHeader.Kind.sighting, .tombstone, .annotation] {
                _ = try session.writer.append([
                    NewRecord(
                        kind: kind, receivedAtNanoseconds: 5, blobID: .zero, provenance: Samples.provenance.encoded())
                ])
            }
        }
        let session = try Session(folder)
        #expect(session.replayed.map(\.header.kindCode) == [1, 3, 4, 5])
        #expect(session.replayed[3].provenance == Samples.provenance)
        #expect(session.replayed[3].header.receivedAtNanoseconds == 5)
    }

    @Test("Walking through changes nothing and tells of the gaps")
    func walk() throws {
        let locations = try write(singles(3))
        try Disk.flip(segment, at: locations[1].offset)
        let before = try Disk.bytes(segment)
        let log = try BlobLog(try DataDirectory(folder.path, locking: false))
        var sequences: [UInt64] = []
        var gaps: [LogScan.Gap] = []
        try log.forEachRecord {
            sequences.append($0.header.sequence)
        } gap: {
            gaps.append($0)
        }
        #expect(sequences == [1, 3])
        #expect(gaps == [.init(segment: 1, range: 8192..<12_288)])
        #expect(try Disk.bytes(segment) == before)
    }
}

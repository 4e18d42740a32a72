// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform
import Testing

@testable import BlobLog

@Suite("Appending and reading")
struct ReadingTests {
    @Test("What was appended is read, verified")
    func roundTrip() throws {
        let folder = try Folder()
        let session = try Session(folder)
        let payloads = [1, 255, 4000, 4096, 70_000].enumerated().map { Samples.bytes($1, seed: UInt64($0)) }
        let locations = try payloads.flatMap { try session.append($0) }
        for (payload, location) in zip(payloads, locations) { #expect(try session.payload(at: location) == payload) }
        #expect(session.writer.position.sequence == 5)
        #expect(locations.map(\.offset).allSatisfy { $0 % 4096 == 0 })
    }

    @Test("A batch of many records gets one number of the last durable one")
    func batch() throws {
        let session = try Session(try Folder())
        try session.append(Samples.bytes(10))
        let placed = try session.writer.append((0..<600).map { Samples.record(Samples.bytes(50, seed: $0)) })
        #expect(placed.map(\.0.sequence) == (2...601).map { UInt64($0) })
        #expect(placed.allSatisfy { $0.0.durableSequence == 1 })
        for (index, (_, location)) in placed.enumerated() {
            #expect(try session.payload(at: location) == Samples.bytes(50, seed: UInt64(index)))
        }
    }

    @Test("Header pieces are what stands outside large values")
    func headerPieces() throws {
        let session = try Session(try Folder())
        let payload = Samples.bytes(100_000)
        let record = Samples.record(payload, headLength: 300, largeValues: [1000..<90_000])
        let location = try session.writer.append([record])[0].1
        let stored = try session.log.reader.record(at: location)
        #expect(stored.dataSetOffset == 300)
        let pieces = try stored.readHeader()
        #expect(pieces.map(\.offset) == [0, 90_000])
        #expect(pieces.map(\.bytes) == [Array(payload[..<1000]), Array(payload[90_000...])])
        try stored.verify()
    }

    @Test("Any range is read as it was written")
    func ranges() throws {
        let session = try Session(try Folder())
        let payload = Samples.bytes(140_500)
        let location = try session.writer.append([Samples.record(payload, largeValues: [1000..<140_000])])[0].1
        let stored = try session.log.reader.record(at: location)
        let buffer = ReadBuffer()
        for range in [0..<1, 999..<1001, 5..<140_500, 66_536..<66_537, 140_499..<140_500, 7..<7] {
            let part = try stored.read(UInt64(range.lowerBound)..<UInt64(range.upperBound), into: buffer)
            #expect(Array(part) == Array(payload[range]))
        }
        #expect(throws: LogError.self) { try stored.read(0..<140_501, into: buffer) }
    }

    @Test("A flipped bit in any byte of a record is found")
    func flippedRecord() throws {
        let folder = try Folder()
        let (path, location, used) = try smallRecord(in: folder)
        let directory = try DataDirectory(folder.path, locking: false)
        let reader = LogReader(directory)
        for offset in 0..<used {
            try Disk.flip(path, at: location.offset + offset, bit: Int(offset % 8))
            #expect(throws: LogError.self, "byte \(offset)") { try reader.record(at: location).verify() }
            try Disk.flip(path, at: location.offset + offset, bit: Int(offset % 8))
        }
        try reader.record(at: location).verify()
    }

    @Test("A flipped bit in any byte of a payload is found by the chunk sums alone")
    func flippedPayload() throws {
        let folder = try Folder()
        let (path, location, used) = try smallRecord(in: folder)
        let record = try LogReader(try DataDirectory(folder.path, locking: false)).record(at: location)
        for offset in UInt64(record.header.payloadOffset)..<used {
            try Disk.flip(path, at: location.offset + offset, bit: Int(offset % 8))
            #expect(throws: LogError.self, "byte \(offset)") { try record.check() }
            try Disk.flip(path, at: location.offset + offset, bit: Int(offset % 8))
        }
        try record.check()
    }

    @Test("A flipped bit in any byte of the segment block that counts is found")
    func flippedSegment() throws {
        let folder = try Folder()
        let (path, location, _) = try smallRecord(in: folder)
        let directory = try DataDirectory(folder.path, locking: false)
        for offset in 0..<UInt64(96) {
            try Disk.flip(path, at: offset, bit: Int(offset % 8))
            #expect(throws: LogError.self, "byte \(offset)") { try LogReader(directory).record(at: location) }
            try Disk.flip(path, at: offset, bit: Int(offset % 8))
        }
        try LogReader(directory).record(at: location).verify()
    }

    @Test("Content that is not what the blob id says is damage, though every chunk sum agrees")
    func otherContent() throws {
        let session = try Session(try Folder())
        var record = Samples.record(Samples.bytes(100))
        record.blobID = Samples.blobID(Samples.bytes(100, seed: 2))
        let stored = try session.log.reader.record(at: try session.writer.append([record])[0].1)
        try stored.check()
        #expect(throws: LogError.self) { try stored.verify() }
    }

    @Test("Provenance and index longer than the file are not made room for")
    func announcedLength() throws {
        let folder = try Folder()
        let (path, location, _) = try smallRecord(in: folder)
        var bytes = try Disk.bytes(path)
        let start = Int(location.offset)
        // Length of the provenance: a thousand million bytes; the checksum is put right, as only the archive can.
        bytes.replaceSubrange(start + 88..<start + 92, with: [0, 0, 0, 0x3F])
        var head = Array(bytes[start..<start + 240])
        for number in [location.writer, location.segment] { head.appendLittleEndian(number) }
        head.appendLittleEndian(location.offset)
        try Disk.write(path, HeaderChecksum.compute(head, key: Array(bytes[48..<80])), at: location.offset + 240)
        try Disk.write(path, [0, 0, 0, 0x3F], at: location.offset + 88)
        var before = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &before)
        #expect(throws: LogError.self) {
            try LogReader(try DataDirectory(folder.path, locking: false)).record(at: location)
        }
        var after = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &after)
        #expect(after.ru_maxrss - before.ru_maxrss < 256 << 10, "it took memory for what was announced")
    }

    @Test("A segment of another archive is not read")
    func foreignSegment() throws {
        let folder = try Folder()
        let (path, location, _) = try smallRecord(in: folder)
        let other = try Folder()
        let directory = try DataDirectory(other.path)
        try Disk.write(directory.segment(writer: 1, number: 1), try Disk.bytes(path))
        #expect(throws: LogError.self) { try LogReader(directory).record(at: location) }
    }

    /// - Returns: the segment's path, the record's place, and its bytes before the padding.
    private func smallRecord(in folder: Folder) throws -> (String, RecordLocation, UInt64) {
        let session = try Session(folder)
        let location = try session.append(Samples.bytes(300))[0]
        let header = try session.log.reader.record(at: location).header
        let path = session.directory.segment(writer: 1, number: 1)
        return (path, location, UInt64(header.payloadOffset) + header.payloadLength)
    }
}

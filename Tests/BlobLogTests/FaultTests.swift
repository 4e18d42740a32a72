// SPDX-License-Identifier: Apache-2.0
import Foundation
import Platform
import Testing

@testable import BlobLog

/// What the simulation of crashes (Tools/snimok-prove) has found, each case by itself.
@Suite("Faults of the disk")
struct FaultTests {
    private let folder: Folder
    private let volume = FaultyVolume()
    private let segment = "00000001-00000001.seg"
    private var segmentPath: String { "\(folder.path)/segments/\(segment)" }

    init() throws { folder = try Folder() }

    private func session(from position: LogPosition = .start) throws -> Session {
        try Session(folder, from: position, volume: volume)
    }

    /// Three records of a page each, every one a batch.
    private func writeThree() throws -> [RecordLocation] {
        let session = try session()
        return try (0..<3).map { try session.append(Samples.bytes(200, seed: UInt64($0)))[0] }
    }

    @Test("The last batch is not cut when the device does not read it, or not sync it", arguments: [0, 255, 300, 4095])
    func unreadableEnd(byte: UInt64) throws {
        let last = try writeThree()[2]
        volume.change { $0.unreadable = (segment, last.offset + byte..<last.offset + byte + 1) }
        #expect(throws: LogError.self) { try session() }
        volume.change {
            $0.unreadable = nil
            $0.failsSyncs = true
        }
        #expect(throws: LogError.self) { try session() }
        volume.change { $0.failsSyncs = false }
        #expect(try session().sequences == [1, 2, 3])
    }

    @Test("A segment is neither removed nor cut when the device does not read its block")
    func unreadableBlock() throws {
        let locations = try writeThree()
        let size = try Disk.size(segmentPath)
        volume.change { $0.unreadable = (segment, 0..<96) }
        let first = LogPosition(sequence: 1, segment: 1, endOffset: locations[1].offset)
        for position in [.start, first] { #expect(throws: LogError.self) { try session(from: position) } }
        #expect(try Disk.size(segmentPath) == size)
        volume.change { $0.unreadable = nil }
        #expect(try session().sequences == [1, 2, 3])
    }

    @Test("A segment whose block is damaged is not cut behind the catalog's position")
    func damagedBlockBehindPosition() throws {
        let locations = try writeThree()
        let size = try Disk.size(segmentPath)
        try Disk.flip(segmentPath, at: 60)
        let first = LogPosition(sequence: 1, segment: 1, endOffset: locations[1].offset)
        #expect(throws: LogError.self) { try session(from: first) }
        #expect(try Disk.size(segmentPath) == size)
        try Disk.flip(segmentPath, at: 60)
        #expect(try session(from: first).sequences == [2, 3])
    }

    @Test("A record in the middle that the device does not read is a gap, as a damaged one")
    func unreadableMiddle() throws {
        let middle = try writeThree()[1]
        volume.change { $0.unreadable = (segment, middle.offset..<middle.offset + 1) }
        let session = try session()
        #expect(session.sequences == [1, 3])
        let range = middle.offset..<middle.offset + middle.length
        #expect(session.report.gaps == [.init(segment: 1, range: range, isUnreadable: true)])
    }

    @Test("A small record between large ones is there though the device does not read what stands behind it")
    func unreadableBehindSmall() throws {
        let locations: [RecordLocation]
        do {
            let session = try session()
            locations = try [200_000, 200_000, 50, 200_000, 200_000, 9].flatMap {
                try session.append(Samples.bytes($0))
            }
        }
        volume.change { $0.unreadable = (segment, locations[3].offset..<locations[3].offset + 1) }
        #expect(try session().sequences == [1, 2, 3, 5, 6])
    }

    @Test("A large object's file is not given up while a record that may refer to it cannot be read")
    func largeFileOfUnreadableRecord() throws {
        let payload = Samples.bytes(5000)
        let location: RecordLocation
        do {
            let session = try session()
            let file = try LargeObjectFile(session.directory)
            try payload.withUnsafeBytes { try file.append($0) }
            var record = Samples.record(payload)
            record.kind = .largeInstance
            record.largeNumber = file.number
            record.buffer = nil
            try file.finish(record.blobID)
            location = try session.writer.append([record])[0].1
            file.leave()
            try session.append(Samples.bytes(10))
        }
        volume.change { $0.unreadable = (segment, location.offset..<location.offset + 1) }
        try session().log.settleIncoming { _, _ in false }
        volume.change { $0.unreadable = nil }
        let session = try session()
        #expect(session.sequences == [1, 2])
        #expect(try session.payload(at: location) == payload)
    }

    @Test("A tail that cannot be compared with the device is written to it once more")
    func writtenAgain() throws {
        let locations = try writeThree()
        for (isDirect, writes) in [(true, 0), (false, 1)] {
            volume.change {
                $0.takesDirectCalls = isDirect
                $0.calls = []
            }
            #expect(try session().sequences == [1, 2, 3])
            let last = locations[2]
            let expected = "write \(last.length) at \(last.offset) of \(segmentPath)"
            #expect(volume.calls.filter { $0 == expected }.count == writes)
        }
    }

    @Test("What a batch without room leaves is cut, and the cut is durable before anything follows")
    func withoutRoom() throws {
        let session = try session()
        try session.append(Samples.bytes(10))
        volume.change {
            $0.isFull = true
            $0.calls = []
        }
        #expect(throws: LogError.self) { try session.append(Samples.bytes(9000)) }
        #expect(volume.calls == ["truncate \(segmentPath)", "fsync \(segmentPath)"])
        #expect(session.writer.stopReason == nil)
        try session.append(Samples.bytes(10))
    }

    @Test("A new archive's own name, and those above it, are durable before it says that it is one")
    func namesAbove() throws {
        let path = "\(folder.path)/new/archive"
        _ = try DataDirectory(path, volume: volume)
        let calls = volume.calls
        let format = try #require(calls.firstIndex(of: "rename to \(path)/format"))
        for directory in ["\(folder.path)/new", folder.path] {
            #expect(calls[..<format].contains("sync \(directory)"))
        }
    }

    @Test("A format file of a start that stopped is durable before folders are made beside it")
    func formatBeforeFolders() throws {
        _ = try DataDirectory(folder.path, volume: volume)
        for name in ["segments", "large", "incoming", "quarantine"] { rmdir("\(folder.path)/\(name)") }
        volume.change { $0.calls = [] }
        _ = try DataDirectory(folder.path, volume: volume)
        #expect(volume.calls == ["sync \(folder.path)", "sync \(folder.path)"])
    }

    @Test("An unfinished first segment is no damage")
    func unfinishedFirstSegment() throws {
        _ = try session()
        try Disk.write(segmentPath, Array("SNIMOKSG".utf8))
        #expect(try session().report.gaps.isEmpty)
    }
}

// SPDX-License-Identifier: Apache-2.0
import Foundation
import Platform
import Testing

@testable import BlobLog

@Suite("The data directory")
struct DirectoryTests {
    private let folder: Folder

    init() throws { folder = try Folder() }

    @Test("A second process is kept out, and let in when the first has gone")
    func lock() throws {
        do {
            let first = try DataDirectory(folder.path)
            let error = #expect(throws: LogError.self) { try DataDirectory(folder.path) }
            guard case .inUse(folder.path)? = error else {
                Issue.record("not .inUse but \(String(describing: error))")
                return
            }
            let beside = try DataDirectory(folder.path, locking: false)
            #expect(beside.archiveUUID == first.archiveUUID)
        }
        _ = try DataDirectory(folder.path)
    }

    @Test("An archive keeps its identity")
    func identity() throws {
        let uuid = try DataDirectory(folder.path).archiveUUID
        #expect(uuid.count == 16)
        #expect(try DataDirectory(folder.path).archiveUUID == uuid)
        let other = try Folder()
        #expect(try DataDirectory(other.path).archiveUUID != uuid)
        let text = String(decoding: try Disk.bytes("\(folder.path)/format"), as: UTF8.self)
        #expect(FileSystem.exists("\(other.path)/format"))
        #expect(text.hasPrefix("{\"format\":2,\"archive\":\"") && text.hasSuffix("\"}\n"))
    }

    @Test("A newer format is refused, not guessed at")
    func newerFormat() throws {
        _ = try DataDirectory(folder.path)
        let path = "\(folder.path)/format"
        let text = String(decoding: try Disk.bytes(path), as: UTF8.self)
        try Disk.write(path, Array(text.replacing("\"format\":2", with: "\"format\":3").utf8))
        let error = #expect(throws: LogError.self) { try DataDirectory(folder.path) }
        guard case .newerFormat(3, _)? = error else {
            Issue.record("not .newerFormat but \(String(describing: error))")
            return
        }
    }

    @Test("An archive of format 1 goes on with its addresses, and so does its mirror")
    func firstFormat() throws {
        try Disk.write(
            "\(folder.path)/format",
            Array("{\"format\":1,\"archive\":\"8F702065-0B0D-4F11-ABFC-1BCBCFAE6D13\"}\n".utf8))
        let directory = try DataDirectory(folder.path)
        #expect(directory.contentHash == .blake2b)
        let mirror = try Folder()
        let second = try DataDirectory(mirror: mirror.path, of: directory, mayCreate: true, volume: SystemVolume())
        #expect(second.contentHash == .blake2b)
        #expect(try Disk.bytes("\(mirror.path)/format") == Disk.bytes("\(folder.path)/format"))
        let segment = try Segment(creatingIn: directory, writer: 1, number: 1)
        #expect(try Disk.bytes(directory.segment(writer: segment.writer, number: 1))[8] == 1)
    }

    @Test("A directory with something else in it is left alone")
    func foreign() throws {
        try Disk.write("\(folder.path)/holiday.jpg", [1])
        let error = #expect(throws: LogError.self) { try DataDirectory(folder.path) }
        guard case .notAnArchive? = error else {
            Issue.record("not .notAnArchive but \(String(describing: error))")
            return
        }
        #expect(!FileSystem.exists("\(folder.path)/segments"))
    }

    @Test(
        "A damaged format file is no new archive",
        arguments: ["", "{", "{\"format\":1}", "{\"format\":1,\"archive\":\"x\"}"])
    func damagedFormat(text: String) throws {
        try Disk.write("\(folder.path)/format", Array(text.utf8))
        #expect(throws: LogError.self) { try DataDirectory(folder.path) }
    }
}

@Suite("Large objects and quarantine")
struct LargeObjectTests {
    private let folder: Folder

    init() throws { folder = try Folder() }

    private func entries(_ name: String) throws -> [String] { try Disk.entries("\(folder.path)/\(name)") }

    /// Writes a large object and its record; the file is still in `incoming`.
    private func write(_ payload: [UInt8], _ session: Session) throws -> (LargeObjectFile, RecordLocation) {
        let file = try LargeObjectFile(session.directory)
        for start in stride(from: 0, to: payload.count, by: 30_000) {
            let part = Array(payload[start..<min(start + 30_000, payload.count)])
            try part.withUnsafeBytes { try file.append($0) }
        }
        #expect(file.length == UInt64(payload.count))
        var record = Samples.record(payload)
        record.kind = .largeInstance
        record.largeNumber = file.number
        record.buffer = nil
        try file.finish(record.blobID)
        return (file, try session.writer.append([record])[0].1)
    }

    @Test("A large object moves from its part file to incoming to large, and is read in both places")
    func life() throws {
        let session = try Session(folder)
        let payload = Samples.bytes(200_000)
        let (file, location) = try write(payload, session)
        let name = session.directory.largeName(Samples.blobID(payload), number: file.number)
        #expect(try entries("incoming") == [name])
        #expect(try session.payload(at: location) == payload)
        file.keep(Samples.blobID(payload))
        #expect(try entries("incoming").isEmpty)
        #expect(try entries("large") == [name])
        #expect(try session.payload(at: location) == payload)
        #expect(location.length == 4096)
        #expect(try Disk.bytes("\(folder.path)/large/\(name)") == payload)
    }

    @Test("A part file that nobody kept is removed with its owner")
    func abandoned() throws {
        let directory = try DataDirectory(folder.path)
        var file: LargeObjectFile? = try LargeObjectFile(directory)
        #expect(try entries("incoming").count == 1)
        file = nil
        #expect(try entries("incoming").isEmpty)
        #expect(file == nil)
    }

    @Test("A flipped bit in a large object is found")
    func damaged() throws {
        let session = try Session(folder)
        let payload = Samples.bytes(140_000)
        let (file, location) = try write(payload, session)
        file.keep(Samples.blobID(payload))
        let path = "\(folder.path)/large/\(try entries("large")[0])"
        for offset: UInt64 in [0, 65_535, 65_536, 139_999] {
            try Disk.flip(path, at: offset)
            #expect(throws: LogError.self) { try session.payload(at: location) }
            try Disk.flip(path, at: offset)
        }
        try Disk.truncate(path, to: 139_999)
        #expect(throws: LogError.self) { try session.payload(at: location) }
    }

    @Test("A start removes part files, moves what the log refers to, and quarantines the rest")
    func settle() throws {
        let payload = Samples.bytes(50_000)
        do {
            let session = try Session(folder)
            let (file, _) = try write(payload, session)
            file.leave()
            let orphan = try LargeObjectFile(session.directory)
            try payload.withUnsafeBytes { try orphan.append($0) }
            try orphan.finish(Samples.blobID([1, 2, 3]))
            orphan.leave()
            try Disk.write("\(folder.path)/incoming/17.part", [1, 2, 3])
            try Disk.write("\(folder.path)/incoming/stranger", [1, 2, 3, 4])
        }
        let session = try Session(folder)
        let known = Set(session.replayed.map(\.header.blobID))
        try session.log.settleIncoming { blobID, _ in known.contains(blobID) }
        #expect(try entries("incoming").isEmpty)
        #expect(try entries("large").count == 1)
        #expect(try entries("large")[0].hasPrefix(Samples.blobID(payload).description))
        #expect(try session.payload(at: session.replayed[0].location) == payload)
        #expect(session.log.quarantine.totals.files == 2)
        #expect(session.log.quarantine.totals.bytes == 50_004)
        #expect(try entries("quarantine").filter { $0.hasSuffix(".dcm") }.count == 2)
    }

    @Test("The record of a large object whose file never became durable is cut with its batch")
    func lostFile() throws {
        do {
            let session = try Session(folder)
            try session.append(Samples.bytes(10))
            _ = try write(Samples.bytes(50_000), session)
        }
        #expect(try entries("incoming").isEmpty)
        let session = try Session(folder)
        #expect(session.sequences == [1])
        #expect(session.report.cutBytes == 4096)
    }

    @Test("Quarantine keeps the newest up to its bound, with the reason beside them")
    func bound() throws {
        let directory = try DataDirectory(folder.path)
        let quarantine = try Quarantine(directory, maximumBytes: 1000)
        for number in 1...5 {
            [UInt8](repeating: UInt8(number), count: 300).withUnsafeBytes {
                quarantine.keep($0, reason: "no. \(number)")
            }
        }
        #expect(quarantine.totals.files == 3 && quarantine.totals.bytes == 900)
        let objects = try entries("quarantine").filter { $0.hasSuffix(".dcm") }
        #expect(try objects.map { try Disk.bytes("\(folder.path)/quarantine/\($0)")[0] }.sorted() == [3, 4, 5])
        let texts = try entries("quarantine").filter { $0.hasSuffix(".txt") }
        #expect(texts.count == 3)
        #expect(texts.map { $0.dropLast(4) } == objects.map { $0.dropLast(4) })
    }

    @Test("What is larger than the quarantine is dropped, and nothing makes room for it")
    func tooLarge() throws {
        let quarantine = try Quarantine(try DataDirectory(folder.path), maximumBytes: 1000)
        [UInt8](repeating: 1, count: 500).withUnsafeBytes { quarantine.keep($0, reason: "small") }
        [UInt8](repeating: 1, count: 1001).withUnsafeBytes { quarantine.keep($0, reason: "large") }
        #expect(quarantine.totals.files == 1 && quarantine.totals.bytes == 500)
    }

    @Test("The bound holds across starts")
    func boundAcrossStarts() throws {
        let directory = try DataDirectory(folder.path)
        for start in 1...6 {
            let quarantine = try Quarantine(directory, maximumBytes: 1000)
            #expect(quarantine.totals.files == min(start - 1, 3))
            [UInt8](repeating: 1, count: 300).withUnsafeBytes { quarantine.keep($0, reason: "start \(start)") }
            let objects = try entries("quarantine").filter { $0.hasSuffix(".dcm") }
            #expect(objects.count == min(start, 3))
        }
        #expect(try entries("quarantine").filter { $0.hasSuffix(".txt") }.count == 3)
    }
}

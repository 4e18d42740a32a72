// SPDX-License-Identifier: Apache-2.0
import Foundation
import Platform

@testable import BlobLog

/// A folder of a test's own, removed with it.
final class Folder {
    let path: String

    init() throws {
        path = "\(NSTemporaryDirectory())snimok-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// An open log and what its recovery found.
final class Session {
    private let folder: Folder
    let log: BlobLog
    let writer: LogWriter
    let report: RecoveryReport
    private(set) var replayed: [StoredRecord] = []

    init(
        _ folder: Folder, from position: LogPosition = .start, segmentBytes: UInt64 = 1 << 30,
        volume: any Volume = SystemVolume()
    ) throws {
        self.folder = folder
        log = try BlobLog(try DataDirectory(folder.path, volume: volume), segmentBytes: segmentBytes)
        var records: [StoredRecord] = []
        (writer, report) = try log.recover(from: position) { record throws(LogError) in records.append(record) }
        replayed = records
    }

    var directory: DataDirectory { log.directory }
    var sequences: [UInt64] { replayed.map(\.header.sequence) }

    /// Appends payloads as one batch.
    @discardableResult
    func append(_ payloads: [UInt8]...) throws -> [RecordLocation] {
        try writer.append(payloads.map { Samples.record($0) }).map(\.1)
    }

    func payload(at location: RecordLocation) throws -> [UInt8] {
        let record = try log.reader.record(at: location)
        try record.verify()
        let buffer = ReadBuffer()
        let part = try record.read(0..<record.header.payloadLength, into: buffer)
        return Array(part)
    }
}

enum Samples {
    static let transferSyntaxUID = "1.2.840.10008.1.2.1"
    private static let pool = BufferPool(capacity: 1 << 20)

    /// Bytes that look like nothing, the same for the same seed.
    static func bytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }

    static func blobID(_ dataSet: [UInt8]) -> BlobID {
        let hasher = BlobHasher(transferSyntaxUID: transferSyntaxUID, .blake3)
        dataSet.withUnsafeBytes { hasher.update($0) }
        return hasher.finish()
    }

    static var provenance: Provenance {
        var provenance = Provenance()
        provenance[.callingAETitle] = "MODALITY"
        provenance[.transferSyntaxUID] = transferSyntaxUID
        return provenance
    }

    static func index(_ payload: [UInt8], largeValues: [Range<UInt64>] = []) -> PayloadIndex {
        var index = PayloadIndex()
        index.largeValues = largeValues.map { .init(tag: 0x7FE0_0010, range: $0) }
        let summer = ChunkSummer()
        var offset = 0
        for cut in largeValues.flatMap({ [Int($0.lowerBound), Int($0.upperBound)] }) + [payload.count] {
            payload.withUnsafeBytes { summer.add($0.part(offset..<cut)) }
            summer.cut()
            offset = cut
        }
        index.checksums = summer.checksums
        return index
    }

    /// A record of a payload whose first `headLength` bytes do not belong to the data set.
    static func record(_ payload: [UInt8], headLength: Int = 0, largeValues: [Range<UInt64>] = []) -> NewRecord {
        let buffer = pool.borrow()
        buffer.room.copyBytes(from: payload)
        buffer.count = payload.count
        var record = NewRecord(
            kind: .instance, receivedAtNanoseconds: 1_700_000_000_000_000_000,
            blobID: blobID(Array(payload[headLength...])), provenance: provenance.encoded())
        record.index = index(payload, largeValues: largeValues).encoded()
        record.payloadLength = UInt64(payload.count)
        record.dataSetLength = UInt64(payload.count - headLength)
        record.buffer = buffer
        return record
    }
}

/// What happens to files behind the archive's back.
enum Disk {
    static func size(_ path: String) throws -> UInt64 { try FileDescriptor.open(path, O_RDONLY).size() }
    static func truncate(_ path: String, to size: UInt64) throws {
        try FileDescriptor.open(path, O_RDWR).truncate(to: size)
    }

    static func write(_ path: String, _ bytes: [UInt8], at offset: UInt64 = 0) throws {
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT)
        try bytes.withRawBytes { bytes throws(SystemError) in try file.write(bytes, at: offset) }
    }

    static func flip(_ path: String, at offset: UInt64, bit: Int = 0) throws {
        let file = try FileDescriptor.open(path, O_RDWR)
        var byte: [UInt8] = [0]
        _ = try byte.withMutableRawBytes { bytes throws(SystemError) in try file.read(into: bytes, at: offset) }
        byte[0] ^= 1 << bit
        try byte.withRawBytes { bytes throws(SystemError) in try file.write(bytes, at: offset) }
    }

    static func entries(_ path: String) throws -> [String] { try FileSystem.entries(path) }
    static func bytes(_ path: String) throws -> [UInt8] { try FileSystem.contents(path) }
}

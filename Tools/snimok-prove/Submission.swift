// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Glibc
import Platform

/// A record as it was handed to the log, by which it is known again: its number in the run stands in its provenance.
final class Submission {
    let number: Int
    let kind: RecordHeader.Kind
    let provenance: Provenance
    let blobID: BlobID
    let payload: [UInt8]
    let index: PayloadIndex
    private static let transferSyntaxUID = "1.2.840.10008.1.2.1"

    init(_ number: Int, _ kind: RecordHeader.Kind, payload: [UInt8]) {
        self.number = number
        self.kind = kind
        self.payload = payload
        var provenance = Provenance()
        provenance[.transferSyntaxUID] = Self.transferSyntaxUID
        provenance[.note] = "\(number)"
        var index = PayloadIndex()
        if payload.isEmpty {
            provenance[.target] = "study 1.2.\(number)"
            blobID = .zero
        } else {
            let summer = ChunkSummer()
            payload.withUnsafeBytes { summer.add($0) }
            summer.cut()
            index.checksums = summer.checksums
            let hasher = BlobHasher(transferSyntaxUID: Self.transferSyntaxUID, .blake3)
            payload.withUnsafeBytes { hasher.update($0) }
            blobID = hasher.finish()
        }
        self.index = index
        self.provenance = provenance
    }

    /// Bytes of a record before its payload, for a payload of one chunk.
    static func headBytes(_ number: Int) -> Int {
        var provenance = Provenance()
        provenance[.transferSyntaxUID] = transferSyntaxUID
        provenance[.note] = "\(number)"
        return RecordHeader.byteCount + provenance.encoded().count + 16 + 8
    }

    static func number(of record: StoredRecord) -> Int? { Int(record.provenance[.note]) }

    func record(_ pool: BufferPool, largeNumber: UInt64 = 0) -> NewRecord {
        var record = NewRecord(
            kind: kind, receivedAtNanoseconds: Int64(number), blobID: blobID, provenance: provenance.encoded())
        guard !payload.isEmpty else { return record }
        record.index = index.encoded()
        record.payloadLength = UInt64(payload.count)
        record.dataSetLength = UInt64(payload.count)
        record.largeNumber = largeNumber
        if kind == .instance {
            let buffer = pool.borrow()
            buffer.room.copyBytes(from: payload)
            buffer.count = payload.count
            record.buffer = buffer
        }
        return record
    }

    /// What is wrong with `record`, which says that it is this one; nil: nothing.
    func difference(from record: StoredRecord) -> String? {
        let header = record.header
        guard header.kind == kind, header.blobID == blobID, header.receivedAtNanoseconds == Int64(number),
            record.provenance == provenance, record.index == index
        else { return "has another head than was submitted" }
        guard header.payloadLength == UInt64(payload.count) else { return "has a payload of another length" }
        guard !payload.isEmpty else { return nil }
        do {
            try record.verify()
            let bytes = try record.bytes(0..<header.payloadLength)
            return isPayload(bytes) ? nil : "is served with wrong bytes"
        } catch {
            return "cannot be read: \(error)"
        }
    }

    func isPayload(_ bytes: [UInt8]) -> Bool {
        bytes.count == payload.count && memcmp(bytes, payload, payload.count) == 0
    }
}

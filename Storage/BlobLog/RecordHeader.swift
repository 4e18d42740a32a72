// SPDX-License-Identifier: Apache-2.0
import Platform

/// The fixed part of a record (FORMAT.md, "Record").
package struct RecordHeader: Equatable, Sendable {
    package static let byteCount = 256
    package static let alignment: UInt64 = 4096
    private static let magic: UInt32 = 0x4352_4E53  // "SNRC"
    /// A payload from this length on begins at a page, so that it is written and read without being moved in memory;
    /// shorter ones follow their head at once, for they would double in size.
    static let payloadApartBytes = 65_536

    package enum Kind: UInt16, Sendable { case instance = 1, largeInstance, sighting, tombstone, annotation }

    package struct Flags: OptionSet, Sendable {
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }
        package static let faultyUID = Flags(rawValue: 1)
        package static let heals = Flags(rawValue: 2)
    }

    package var kindCode: UInt16
    package var flags: Flags
    package var sequence: UInt64
    package var recordLength: UInt64
    package var receivedAtNanoseconds: Int64
    package var blobID: BlobID
    package var payloadLength: UInt64
    package var dataSetLength: UInt64
    package var largeNumber: UInt64
    package var provenanceLength: UInt32
    package var indexLength: UInt32
    package var payloadOffset: UInt32
    package var metadataChecksum: UInt64
    /// Sequence number of the last record that was durable when this one was written: equal for all of a batch.
    package var durableSequence: UInt64

    /// nil: a kind of a later version.
    package var kind: Kind? { Kind(rawValue: kindCode) }
    /// Whether the record holds an instance's bytes, or names the file that does.
    package var hasContent: Bool { kind == .instance || kind == .largeInstance }

    func encoded(segment: Segment, offset: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.byteCount)
        bytes.appendLittleEndian(Self.magic)
        bytes.appendLittleEndian(kindCode)
        bytes.appendLittleEndian(flags.rawValue)
        bytes.appendLittleEndian(sequence)
        bytes.appendLittleEndian(recordLength)
        bytes.appendLittleEndian(receivedAtNanoseconds)
        withUnsafeBytes(of: blobID.words) { bytes.append(contentsOf: $0) }
        bytes.appendLittleEndian(payloadLength)
        bytes.appendLittleEndian(dataSetLength)
        bytes.appendLittleEndian(largeNumber)
        bytes.appendLittleEndian(provenanceLength)
        bytes.appendLittleEndian(indexLength)
        bytes.appendLittleEndian(payloadOffset)
        bytes.appendLittleEndian(UInt32(0))
        bytes.appendLittleEndian(metadataChecksum)
        bytes.appendLittleEndian(durableSequence)
        bytes.append(contentsOf: repeatElement(0, count: 240 - bytes.count))
        return bytes + segment.headerChecksum(of: bytes, at: offset)
    }

    /// nil: no record of this segment begins here.
    init?(decoding bytes: UnsafeRawBufferPointer, segment: Segment, offset: UInt64) {
        guard bytes.count >= Self.byteCount, bytes.littleEndian(at: 0, as: UInt32.self) == Self.magic else {
            return nil
        }
        let checksum = segment.headerChecksum(of: Array(bytes.part(0..<240)), at: offset)
        guard bytes.part(240..<256).elementsEqual(checksum) else { return nil }
        kindCode = bytes.littleEndian(at: 4)
        flags = Flags(rawValue: bytes.littleEndian(at: 6))
        sequence = bytes.littleEndian(at: 8)
        recordLength = bytes.littleEndian(at: 16)
        receivedAtNanoseconds = bytes.littleEndian(at: 24)
        blobID = BlobID(bytes.part(32..<64))
        payloadLength = bytes.littleEndian(at: 64)
        dataSetLength = bytes.littleEndian(at: 72)
        largeNumber = bytes.littleEndian(at: 80)
        provenanceLength = bytes.littleEndian(at: 88)
        indexLength = bytes.littleEndian(at: 92)
        payloadOffset = bytes.littleEndian(at: 96)
        metadataChecksum = bytes.littleEndian(at: 104)
        durableSequence = bytes.littleEndian(at: 112)
        guard isPossible else { return nil }
    }

    /// Whether lengths and numbers can be those of a record: sums and differences of them are taken without further tests.
    private var isPossible: Bool {
        // Far beyond all files and counts, and far from where sums overflow.
        max(recordLength, payloadLength) <= 1 << 60 && max(sequence, durableSequence) <= 1 << 62
            && dataSetLength <= payloadLength
    }

    init(_ record: NewRecord, sequence: UInt64, durableSequence: UInt64) {
        let metadataLength = Self.byteCount + record.provenance.count + record.index.count
        let inlineLength = record.kind == .instance ? record.payload.count : 0
        let isApart = inlineLength >= Self.payloadApartBytes
        let inlineOffset = isApart ? Self.aligned(UInt64(metadataLength)) : UInt64(metadataLength)
        kindCode = record.kind.rawValue
        flags = record.flags
        self.sequence = sequence
        recordLength = Self.aligned(inlineOffset + UInt64(inlineLength))
        receivedAtNanoseconds = record.receivedAtNanoseconds
        blobID = record.blobID
        payloadLength = record.payloadLength
        dataSetLength = record.dataSetLength
        largeNumber = record.largeNumber
        provenanceLength = UInt32(record.provenance.count)
        indexLength = UInt32(record.index.count)
        payloadOffset = record.kind == .instance ? UInt32(inlineOffset) : 0
        metadataChecksum = Checksum.compute(record.provenance + record.index)
        self.durableSequence = durableSequence
    }

    private static func aligned(_ length: UInt64) -> UInt64 { (length + alignment - 1) / alignment * alignment }

    package var metadataLength: Int { Self.byteCount + Int(provenanceLength) + Int(indexLength) }
}

/// A record to be appended; it becomes one with a sequence number and a place.
package struct NewRecord: @unchecked Sendable {
    package var kind: RecordHeader.Kind
    package var flags: RecordHeader.Flags = []
    package var receivedAtNanoseconds: Int64
    package var blobID: BlobID
    package var provenance: [UInt8]
    package var index: [UInt8] = []
    package var payloadLength: UInt64 = 0
    package var dataSetLength: UInt64 = 0
    package var largeNumber: UInt64 = 0
    /// The payload's bytes, kept alive by whoever holds `buffer`.
    package var buffer: PooledBuffer?

    package init(kind: RecordHeader.Kind, receivedAtNanoseconds: Int64, blobID: BlobID, provenance: [UInt8]) {
        self.kind = kind
        self.receivedAtNanoseconds = receivedAtNanoseconds
        self.blobID = blobID
        self.provenance = provenance
    }

    var payload: UnsafeRawBufferPointer { buffer?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0) }
}

/// A record's place: all that a reader needs to find it again.
package struct RecordLocation: Hashable, Sendable {
    package let writer: UInt32
    package let segment: UInt32
    package let offset: UInt64
    /// Length of the whole record.
    package let length: UInt64

    package init(writer: UInt32, segment: UInt32, offset: UInt64, length: UInt64) {
        self.writer = writer
        self.segment = segment
        self.offset = offset
        self.length = length
    }
}

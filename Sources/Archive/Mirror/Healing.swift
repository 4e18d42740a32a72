// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Platform

/// Writes a damaged record anew, as it stands undamaged at the same place of the mirror. Content is not overwritten: it comes
/// as a further record, to which the catalog sends readers from then on. Only a record whose head cannot be read, so that
/// nobody knows any more what stood there, is brought back where it was.
struct Healing {
    private let archive: Archive
    private let mirror: Mirror
    private let reader: LogReader

    /// - Parameter reader: of the mirror.
    init(_ archive: Archive, _ mirror: Mirror, _ reader: LogReader) {
        self.archive = archive
        self.mirror = mirror
        self.reader = reader
    }

    /// Brings back records whose heads cannot be read.
    func restore(_ range: Range<UInt64>, ofSegment number: UInt32) throws {
        guard let name = try Segment.live(archive.directory).first(where: { $0.number == number }) else { return }
        try restore(range, of: name)
    }

    private func restore(_ range: Range<UInt64>, of name: SegmentName) throws {
        let count = try mirror.restore(range, of: name)
        guard count > 0 else { return }
        Log.warning(
            "records that could not be read were restored from the mirror",
            ["segment": "\(name.number)", "bytes": "\(range)", "records": "\(count)"])
    }

    /// - Parameter damaged: where it was found damaged; nil: where the catalog has it.
    func heal(_ blobID: BlobID, at damaged: RecordLocation?) throws {
        guard let found = try archive.readers.withReader({ try $0.location(ofBlob: blobID.bytes) }) else { return }
        let location = RecordLocation(found.0)
        // Moved or healed since; whoever reads it there will say whether that is damaged, too.
        guard damaged == nil || damaged == location else { return }
        try restore(
            location.offset..<location.offset + location.length,
            of: SegmentName(generation: location.writer, number: location.segment))
        // One that is good and marked was healed before the mark came.
        guard try isMarked(blobID) || !isGood(blobID, at: location) else { return }
        try reader.recordFromDevice(at: location).verifyFromDevice()
        // Every piece is checked again as it is read for copying.
        let good = try reader.record(at: location)
        guard good.header.blobID == blobID, good.header.hasContent else {
            throw LogError.damaged("the mirror has another record there")
        }
        let (record, file) = try copy(of: good)
        try append(record, file, good)
        Log.warning(
            "a damaged record was healed from the mirror",
            ["instance": good.provenance[.sopInstanceUID], "blob": "\(blobID)", "segment": "\(location.segment)"])
    }

    private func isMarked(_ blobID: BlobID) throws -> Bool {
        try archive.readers.withReader { try $0.damaged() }.contains { BlobID($0.blobID) == blobID }
    }

    private func isGood(_ blobID: BlobID, at location: RecordLocation) -> Bool {
        do {
            try archive.log.reader.recordFromDevice(at: location).verifyFromDevice()
            let record = try archive.log.reader.record(at: location)
            try record.verify()
            return record.header.blobID == blobID && record.header.hasContent
        } catch {
            return false
        }
    }

    private func copy(of good: StoredRecord) throws -> (NewRecord, LargeObjectFile?) {
        var provenance = good.provenance
        provenance[.annotationName] = ControlRecord.heal
        var record = NewRecord(
            kind: good.header.kind ?? .instance, receivedAtNanoseconds: good.header.receivedAtNanoseconds,
            blobID: good.header.blobID, provenance: provenance.encoded())
        record.flags = good.header.flags.union(.heals)
        record.index = good.index.encoded()
        record.payloadLength = good.header.payloadLength
        record.dataSetLength = good.header.dataSetLength
        guard record.kind == .largeInstance else {
            record.buffer = try payload(of: good)
            return (record, nil)
        }
        let file = try LargeObjectFile(archive.directory, mirror: archive.log.mirror)
        try good.forEachPiece(
            in: 0..<record.payloadLength, { bytes throws(LogError) in try file.append(bytes) }, onError: { $0 })
        try file.finish(record.blobID)
        record.largeNumber = file.number
        return (record, file)
    }

    private func payload(of good: StoredRecord) throws -> PooledBuffer {
        let length = Int(good.header.payloadLength)
        // It may be from a time when larger ones were kept in segments.
        let isLonger = length + 4096 > archive.buffers.capacity
        let buffer = isLonger ? BufferPool(capacity: length + 4096).borrow() : archive.buffers.borrow()
        try good.forEachPiece(
            in: 0..<good.header.payloadLength,
            { bytes throws(LogError) in
                buffer.room.copyBytes(from: bytes)
                buffer.count += bytes.count
            }, onError: { $0 })
        return buffer
    }

    private func append(_ record: NewRecord, _ file: LargeObjectFile?, _ good: StoredRecord) throws {
        guard case .instance(var entry) = try CatalogEntries.event(of: good) else { return }
        entry.flags = UInt32(record.flags.rawValue)
        entry.isOwnCopy = true
        try archive.committer.commit(record, .instance(entry), file: file)
    }
}

// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Appends records: one gathered write and one sync a batch. One thread at a time.
package final class LogWriter {
    private let directory: DataDirectory
    private let writer: UInt32
    private let segmentBytes: UInt64
    private let mirror: Mirror?
    private var segment: Segment?
    private var segmentNumber: UInt32
    private var endOffset: UInt64
    private var durableSequence: UInt64
    private var failure: LogError?
    private var isSealed = false
    private let staging = StagingMemory()

    init(
        _ directory: DataDirectory, writer: UInt32, segmentBytes: UInt64, end: LogPosition, mirror: Mirror? = nil
    ) throws(LogError) {
        self.directory = directory
        self.mirror = mirror
        self.writer = writer
        self.segmentBytes = segmentBytes
        segmentNumber = end.segment
        endOffset = end.endOffset
        durableSequence = end.sequence
        if directory.volume.exists(directory.segment(writer: writer, number: end.segment)) {
            segment = try Segment(directory, writer: writer, number: end.segment, forWriting: true)
        }
    }

    /// Where the log ends.
    package var position: LogPosition {
        LogPosition(sequence: durableSequence, segment: segmentNumber, endOffset: endOffset)
    }

    /// Why nothing can be appended any more; nil while all is well.
    package var stopReason: LogError? { failure }

    /// Makes the records durable, in order. When this returns they would survive a power cut; when it throws, none of
    /// them counts. Out of space costs the batch only; any other error is final (a failed sync is never
    /// tried again, since the kernel forgets which pages did not arrive).
    package func append(_ records: [NewRecord]) throws(LogError) -> [(RecordHeader, RecordLocation)] {
        if let failure { throw .stopped("\(failure)") }
        if let refusal = mirror?.refusal { throw .unmirrored(refusal) }
        do {
            return try write(records)
        } catch {
            if error.costsBatchOnly, (try? discardTail()) != nil { throw error }
            failure = error
            throw error
        }
    }

    private func write(_ records: [NewRecord]) throws(LogError) -> [(RecordHeader, RecordLocation)] {
        let segment = try openSegment()
        var placed: [Placed] = []
        placed.reserveCapacity(records.count)
        var offset = endOffset
        for (index, record) in records.enumerated() {
            let header = RecordHeader(
                record, sequence: durableSequence + UInt64(index) + 1, durableSequence: durableSequence)
            placed.append(
                Placed(
                    header: header, encodedHeader: header.encoded(segment: segment, offset: offset),
                    location: RecordLocation(
                        writer: writer, segment: segmentNumber, offset: offset, length: header.recordLength)))
            offset += header.recordLength
        }
        let vectors = gather(records, placed)
        mirror?.begin(records, vectors, at: endOffset)
        do throws(SystemError) {
            try segment.append(gathering: vectors, at: endOffset)
            try segment.output.synchronizeData()
        } catch {
            // The memory that it writes from is still needed; and here it is over.
            try? mirror?.end()
            throw .system(error)
        }
        try mirror?.end()
        staging.trim()
        endOffset = offset
        durableSequence += UInt64(records.count)
        return placed.map { ($0.header, $0.location) }
    }

    /// Heads, payloads and padding, to be written behind each other. Every piece of memory begins at a page and is whole pages, so
    /// that the device reads it where it lies: written through the page cache, each gigabyte cost a second more of
    /// processor time, for copying and for pages that nobody reads soon.
    private func gather(_ records: [NewRecord], _ placed: [Placed]) -> [iovec] {
        let staged = placed.reduce(0) { $0 + $1.stagedLength }
        staging.reserve(staged)
        var vectors: [iovec] = []
        vectors.reserveCapacity(records.count + 8)
        var filled = 0
        for (record, place) in zip(records, placed) {
            let start = staging.base + filled
            place.write(record, to: start)
            filled += place.stagedLength
            // What stands side by side in memory goes as one piece.
            if let last = vectors.last, last.iov_base + last.iov_len == start {
                vectors[vectors.count - 1].iov_len += place.stagedLength
            } else {
                vectors.append(iovec(iov_base: start, iov_len: place.stagedLength))
            }
            if place.isPayloadApart, let buffer = record.buffer {
                vectors.append(iovec(iov_base: buffer.base, iov_len: buffer.zeroPadded(to: RecordHeader.alignment)))
            }
        }
        return vectors
    }

    /// The next record begins a new segment, so that this one can be compacted.
    package func seal() { isSealed = endOffset > UInt64(Segment.blockBytes) }

    private func openSegment() throws(LogError) -> Segment {
        if let segment, endOffset < segmentBytes, !isSealed { return segment }
        isSealed = false
        if segment != nil {
            segmentNumber += 1
            segment = nil
            endOffset = UInt64(Segment.blockBytes)
        }
        let created = try Segment(creatingIn: directory, writer: writer, number: segmentNumber)
        segment = created
        // A list that lacks the newest segment is only less than it could be: no reason to refuse what can be stored.
        do throws(LogError) { try Manifest.update(directory) } catch {
            Log.error("the manifest cannot be written", ["why": "\(error)"])
        }
        try mirror?.begin(created)
        return created
    }

    /// After a write that found no room: back to the last acknowledged byte. The pages behind it were never synced, so
    /// nothing is forgotten by cutting them. The sync is for the size: `fdatasync` may leave one that is too large.
    private func discardTail() throws(LogError) {
        guard let segment else {
            // The segment itself could not be created: a rest of it must not stand in the next attempt's way.
            try? directory.volume.unlink(directory.segment(writer: writer, number: segmentNumber))
            return
        }
        try wrappingSystemErrors { () throws(SystemError) in
            try segment.file.truncate(to: endOffset)
            try segment.file.synchronize()
        }
        mirror?.discardTail(to: endOffset)
    }
}

/// A record with its place, about to be written.
private struct Placed {
    let header: RecordHeader
    let encodedHeader: [UInt8]
    let location: RecordLocation

    /// Whether the payload begins at a page of its own, and is written from where it was received.
    var isPayloadApart: Bool { header.kind == .instance && UInt64(header.payloadOffset) % RecordHeader.alignment == 0 }

    /// Bytes that are put together in memory: the head in whole pages, with the payload if that is short.
    var stagedLength: Int { isPayloadApart ? Int(header.payloadOffset) : Int(header.recordLength) }

    func write(_ record: NewRecord, to start: UnsafeMutableRawPointer) {
        var filled = 0
        func put(_ bytes: UnsafeRawBufferPointer) {
            guard let base = bytes.baseAddress else { return }
            (start + filled).copyMemory(from: base, byteCount: bytes.count)
            filled += bytes.count
        }
        encodedHeader.withUnsafeBytes(put)
        record.provenance.withUnsafeBytes(put)
        record.index.withUnsafeBytes(put)
        if header.kind == .instance, !isPayloadApart { put(record.payload) }
        memset(start + filled, 0, stagedLength - filled)
    }
}

/// Whole pages in which records are put together; kept from batch to batch.
private final class StagingMemory {
    private static let keptBytes = 8 << 20
    private(set) var base = UnsafeMutableRawPointer.allocate(byteCount: 65_536, alignment: 4096)
    private var capacity = 65_536

    deinit { base.deallocate() }

    func reserve(_ count: Int) {
        guard count > capacity else { return }
        base.deallocate()
        capacity = max(count, capacity * 2)
        base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 4096)
    }

    /// Gives back what one huge batch took.
    func trim() {
        guard capacity > Self.keptBytes else { return }
        base.deallocate()
        capacity = 65_536
        base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 4096)
    }
}

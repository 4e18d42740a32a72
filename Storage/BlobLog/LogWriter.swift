// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Appends records: one gathered write and one sync a batch. One thread at a time.
package final class LogWriter {
    private let directory: DataDirectory
    private let writer: UInt32
    private let segmentBytes: UInt64
    private var segment: Segment?
    private var segmentNumber: UInt32
    private var endOffset: UInt64
    private var durableSequence: UInt64
    private var failure: LogError?
    private let padding = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)

    init(_ directory: DataDirectory, writer: UInt32, segmentBytes: UInt64, end: LogPosition) throws(LogError) {
        self.directory = directory
        self.writer = writer
        self.segmentBytes = segmentBytes
        segmentNumber = end.segment
        endOffset = end.endOffset
        durableSequence = end.sequence
        padding.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
        if FileSystem.exists(directory.segment(writer: writer, number: end.segment)) {
            segment = try Segment(directory, writer: writer, number: end.segment, forWriting: true)
        }
    }

    deinit { padding.deallocate() }

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
        do {
            return try write(records)
        } catch {
            if error.isOutOfSpace, (try? discardTail()) != nil { throw error }
            failure = error
            throw error
        }
    }

    private func write(_ records: [NewRecord]) throws(LogError) -> [(RecordHeader, RecordLocation)] {
        let segment = try openSegment()
        var placed: [(RecordHeader, RecordLocation)] = []
        var heads: [[UInt8]] = []
        var offset = endOffset
        for (index, record) in records.enumerated() {
            let header = RecordHeader(
                record, sequence: durableSequence + UInt64(index) + 1, durableSequence: durableSequence)
            heads.append(header.encoded(segment: segment, offset: offset) + record.provenance + record.index)
            placed.append(
                (
                    header,
                    RecordLocation(writer: writer, segment: segmentNumber, offset: offset, length: header.recordLength)
                ))
            offset += header.recordLength
        }
        try wrappingSystemErrors { () throws(SystemError) in
            try gatherAndWrite(records, heads, segment)
            try segment.file.synchronizeData()
        }
        endOffset = offset
        durableSequence += UInt64(records.count)
        return placed
    }

    private func gatherAndWrite(_ records: [NewRecord], _ heads: [[UInt8]], _ segment: Segment) throws(SystemError) {
        // All heads in one piece, so that their addresses stand still while the system reads them.
        let headBytes = heads.reduce(0) { $0 + $1.count }
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: max(headBytes, 1), alignment: 16)
        defer { block.deallocate() }
        var vectors: [iovec] = []
        vectors.reserveCapacity(records.count * 3)
        var filled = 0
        for (record, head) in zip(records, heads) {
            let start = block.baseAddress! + filled
            head.withRawBytes { start.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            filled += head.count
            vectors.append(iovec(iov_base: start, iov_len: head.count))
            let payload = record.kind == .instance ? record.payload : UnsafeRawBufferPointer(start: nil, count: 0)
            if let base = payload.baseAddress, payload.count > 0 {
                vectors.append(iovec(iov_base: UnsafeMutableRawPointer(mutating: base), iov_len: payload.count))
            }
            let over = (head.count + payload.count) % Int(RecordHeader.alignment)
            if over > 0 {
                vectors.append(iovec(iov_base: padding, iov_len: Int(RecordHeader.alignment) - over))
            }
        }
        try segment.file.write(gathering: &vectors, at: endOffset)
    }

    private func openSegment() throws(LogError) -> Segment {
        if let segment, endOffset < segmentBytes { return segment }
        if segment != nil {
            segmentNumber += 1
            segment = nil
            endOffset = UInt64(Segment.blockBytes)
        }
        let created = try Segment(creatingIn: directory, writer: writer, number: segmentNumber)
        segment = created
        return created
    }

    /// After a write that found no room: back to the last acknowledged byte. The pages behind it were never synced, so
    /// nothing is forgotten by cutting them.
    private func discardTail() throws(LogError) {
        guard let segment else {
            // The segment itself could not be created: a rest of it must not stand in the next attempt's way.
            unlink(directory.segment(writer: writer, number: segmentNumber))
            return
        }
        try wrappingSystemErrors { () throws(SystemError) in try segment.file.truncate(to: endOffset) }
    }
}

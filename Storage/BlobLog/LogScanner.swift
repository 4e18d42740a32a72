// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// How far into the log something has come.
package struct LogPosition: Equatable, Sendable {
    package var sequence: UInt64
    package var segment: UInt32
    /// Where the next record begins.
    package var endOffset: UInt64

    package init(sequence: UInt64, segment: UInt32, endOffset: UInt64) {
        self.sequence = sequence
        self.segment = segment
        self.endOffset = endOffset
    }

    package static let start = LogPosition(sequence: 0, segment: 1, endOffset: UInt64(Segment.blockBytes))
}

/// What stands in a stretch of the log.
package struct LogScan {
    /// Records with a good header, provenance and index, in file order.
    package var records: [StoredRecord] = []
    /// Places where none was found though there should be one.
    package var gaps: [Gap] = []

    package struct Gap: Equatable, Sendable {
        package let segment: UInt32
        package internal(set) var range: Range<UInt64>
        /// For some of it the device gave no bytes at all, so that nobody knows what stands there.
        package internal(set) var isUnreadable = false
    }
}

/// Walks through the live segments record by record, finding its feet again behind damage on the next 4 KiB boundary.
struct LogScanner {
    let directory: DataDirectory
    let reader: LogReader
    /// Whose offsets positions count in: what was compacted since has others.
    let writer: UInt32
    /// Of the payloads only headers will be read. Then a large object whose file is missing is no gap: its record says
    /// what it was.
    var forHeaders = false

    /// Calls `body` for each record from `position` on; gaps are told as they are passed.
    func scan(
        from position: LogPosition, _ body: (StoredRecord) throws(LogError) -> Void,
        gap: (LogScan.Gap) throws(LogError) -> Void
    ) throws(LogError) {
        for name in try Segment.live(directory) where name.number >= position.segment {
            let segment: Segment
            do throws(LogError) { segment = try open(name) } catch {
                guard error.isDamage else { throw error }
                // Compacted meanwhile: nothing of it is left under this name.
                let size = try Segment.bytes(directory, generation: name.generation, number: name.number) ?? 0
                try gap(LogScan.Gap(segment: name.number, range: 0..<size, isUnreadable: error.isUnreadable))
                continue
            }
            let isWithin = name.number == position.segment
            guard isWithin, segment.writer != writer else {
                let start = isWithin ? position.endOffset : UInt64(Segment.blockBytes)
                try scan(segment, from: start, body, gap: gap)
                continue
            }
            try scan(segment, from: UInt64(Segment.blockBytes)) { record throws(LogError) in
                if record.header.sequence > position.sequence { try body(record) }
            } gap: { found throws(LogError) in
                try gap(found)
            }
        }
    }

    /// Opens a segment in the generation that it has now: compaction may have gone on since the listing.
    private func open(_ name: SegmentName) throws(LogError) -> Segment {
        do throws(LogError) { return try reader.segment(writer: name.generation, number: name.number) } catch {
            guard case .system(let system) = error, system.code == ENOENT,
                let now = try Segment.live(directory).first(where: { $0.number == name.number }), now != name
            else { throw error }
            return try reader.segment(writer: now.generation, number: now.number)
        }
    }

    func scan(
        _ segment: Segment, from start: UInt64, _ body: (StoredRecord) throws(LogError) -> Void,
        gap: (LogScan.Gap) throws(LogError) -> Void
    ) throws(LogError) {
        let size = try wrappingSystemErrors { () throws(SystemError) in try segment.file.size() }
        var offset = start
        var missing = LogScan.Gap(segment: segment.number, range: start..<start)
        var ahead = HeadsAhead(segment: segment, size: size)
        func endGap() throws(LogError) {
            if !missing.range.isEmpty { try gap(missing) }
        }
        while offset < size {
            let isScattered = forHeaders && ahead.areFarApart && missing.range.isEmpty
            guard let record = try goodRecord(segment, offset, isScattered: isScattered, &missing.isUnreadable) else {
                offset += RecordHeader.alignment
                missing.range = missing.range.lowerBound..<offset
                continue
            }
            try endGap()
            try body(record)
            offset += record.header.recordLength
            if forHeaders { ahead.passed(record.header.recordLength, to: offset) }
            missing = LogScan.Gap(segment: segment.number, range: offset..<offset)
        }
        try endGap()
    }

    /// Nil: no record that can be read stands there.
    private func goodRecord(
        _ segment: Segment, _ offset: UInt64, isScattered: Bool, _ isUnreadable: inout Bool
    ) throws(LogError) -> StoredRecord? {
        do throws(LogError) {
            // The device gives the pages behind, where the header is, for nearly nothing; what it cannot give may be another's.
            if isScattered {
                segment.scattered.advise(POSIX_FADV_WILLNEED, offset..<offset + LogReader.prefetchedBytes)
            }
            let record = try reader.record(
                in: segment, at: offset, file: isScattered ? segment.scattered : nil, mayLackFile: forHeaders)
            return record.header.recordLength > 0 ? record : nil
        } catch {
            // Only damage is a gap: recovery cuts what stands behind the last good record.
            guard error.isDamage else { throw error }
            if error.isUnreadable { isUnreadable = true }
            return nil
        }
    }
}

/// Has the device bring the heads of large records before the scan comes to them. Where the next one begins only the last one
/// says; but slices of a series are mostly of one length. The more of them there were, the farther ahead is asked: a wrong guess
/// costs the reading of a few pages.
private struct HeadsAhead {
    /// From here on, reading on from one head to the next would bring more of the image between than is asked for.
    private static let farApartBytes: UInt64 = 128 << 10
    private static let aheadMaximum: UInt64 = 16
    private let segment: Segment
    private let size: UInt64
    private var length: UInt64 = 0
    /// How often this length has come again.
    private var repeats: UInt64 = 0
    private var askedTo: UInt64 = 0

    init(segment: Segment, size: UInt64) {
        self.segment = segment
        self.size = size
    }

    var areFarApart: Bool { length >= Self.farApartBytes }

    /// A record of this length was passed; the next one begins at `offset`.
    mutating func passed(_ length: UInt64, to offset: UInt64) {
        repeats = length == self.length ? repeats + 1 : 0
        self.length = length
        guard areFarApart else { return }
        // The very next one is read at once.
        for step in 1..<max(1, min(repeats, Self.aheadMaximum)) {
            let (start, overflow) = offset.addingReportingOverflow(step * length)
            guard !overflow, start < size else { return }
            guard start >= askedTo else { continue }
            segment.scattered.advise(
                POSIX_FADV_WILLNEED, start..<start + min(LogReader.prefetchedBytes, size - start))
            askedTo = start + 1
        }
    }
}

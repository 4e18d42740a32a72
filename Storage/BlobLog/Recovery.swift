// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Platform

/// What recovery found behind the position it was given.
package struct RecoveryReport: Sendable {
    package var replayed = 0
    /// Bytes of an unfinished batch that were cut off.
    package var cutBytes: UInt64 = 0
    /// Damage before the last batch: places without a readable record.
    package var gaps: [LogScan.Gap] = []
    /// Segments that the manifest lists and that are not there, or not whole.
    package var missing: [Manifest.Entry] = []
    /// Records that only the mirror had.
    package var fromMirror = 0
    package var nanoseconds: UInt64 = 0
}

/// Finds the log's end after a stop of any kind (FORMAT.md, "Record" and "Order of writing").
struct Recovery {
    let directory: DataDirectory
    let reader: LogReader
    let writer: UInt32
    let quarantine: Quarantine

    /// Replays every good record behind `position` in order, cuts an unfinished last batch, and returns the end.
    ///
    /// The last batch is held back until all of it was read from the device, or written to it again, and verified: after
    /// a failed write-back the page cache shows pages that never reached the disk.
    func run(
        from position: LogPosition, replay: (StoredRecord) throws(LogError) -> Void
    ) throws(LogError) -> (end: LogPosition, report: RecoveryReport) {
        var report = RecoveryReport()
        var end = position
        var batch: [StoredRecord] = []
        var gaps: [LogScan.Gap] = []
        func adopt(_ record: StoredRecord) throws(LogError) {
            try replay(record)
            report.replayed += 1
            end.sequence = max(end.sequence, record.header.sequence)
            end.segment = record.location.segment
            end.endOffset = record.location.offset + record.location.length
        }
        /// What stands where an earlier start has cut the log: blocks that were given to the file again, by a write that was
        /// never synced, may show after a power cut what they held before.
        func leave(_ record: StoredRecord) {
            let location = record.location
            gaps.append(
                LogScan.Gap(
                    segment: location.segment, range: location.offset..<location.offset + location.length))
        }
        let scanner = LogScanner(directory: directory, reader: reader, writer: writer, forHeaders: true)
        try scanner.scan(from: position) { record throws(LogError) in
            let durable = record.header.durableSequence
            if let first = batch.first, durable > first.header.durableSequence {
                // A later batch exists, so what has a number up to that one was synced: damage in it is damage, not an
                // unfinished write. What has a higher number was cut before the later batch was written.
                for earlier in batch {
                    if earlier.header.sequence <= durable { try adopt(earlier) } else { leave(earlier) }
                }
                batch = []
            }
            // Both numbers rise through the log.
            let isInOrder =
                durable >= batch.first?.header.durableSequence ?? 0
                && record.header.sequence > batch.last?.header.sequence ?? end.sequence
            if isInOrder { batch.append(record) } else { leave(record) }
        } gap: { gap throws(LogError) in
            gaps.append(gap)
        }
        let good = try goodCount(of: batch, after: end.sequence)
        for record in batch.prefix(good) { try adopt(record) }
        // A last batch that is bad was not finished, or was and has gone bad since, if the catalog was lost or is being
        // made anew; nobody can tell. So it leaves the log, but not the archive.
        for record in batch[good...] { keep(record) }
        // What was compacted is sealed: the log goes on behind it.
        if let sealed = try Segment.live(directory).last(where: { $0.generation != writer })?.number,
            sealed >= end.segment
        {
            end.segment = sealed + 1
            end.endOffset = UInt64(Segment.blockBytes)
        }
        // What the last batch left damaged is cut, and a first segment without a block is made anew; all else stays.
        report.gaps = gaps.filter {
            end != .start && ($0.segment, $0.range.lowerBound) < (end.segment, end.endOffset)
        }
        // A power cut leaves wrong bytes. Where the device gives none, it is the device, and what stands there may be all
        // that was acknowledged last.
        if let gap = gaps.first(where: {
            $0.isUnreadable && ($0.segment, $0.range.upperBound) > (end.segment, end.endOffset)
        }) {
            throw .unreadableEnd("bytes \(gap.range) of \(directory.segment(writer: writer, number: gap.segment))")
        }
        // Numbers that were durable once are not given away again, though their records may be unreadable.
        end.sequence = max(end.sequence, batch.first?.header.durableSequence ?? 0)
        try removeSegments(behind: end)
        report.cutBytes = try cut(to: end)
        return (end, report)
    }

    /// How many records of the last batch may be adopted: all, or those before the first bad or missing one. A batch's
    /// numbers follow each other from the one it names as durable, or from where the replay began within it.
    private func goodCount(of batch: [StoredRecord], after sequence: UInt64) throws(LogError) -> Int {
        var expected = sequence
        if let first = batch.first { expected = max(expected, first.header.durableSequence) }
        for (index, record) in batch.enumerated() {
            // A compaction wrote and verified the whole segment before it was there, and left out what was dead.
            if record.location.writer != writer {
                expected = record.header.sequence
                continue
            }
            expected += 1
            guard record.header.sequence == expected, try isOnDevice(record) else { return index }
        }
        return batch.count
    }

    private func isOnDevice(_ record: StoredRecord) throws(LogError) -> Bool {
        do throws(LogError) {
            let path = directory.segment(writer: writer, number: record.location.segment)
            let segment = try Segment(directory, writer: writer, number: record.location.segment, forWriting: true)
            let isSame = try wrappingSystemErrors { () throws(SystemError) in
                try DeviceCheck(directory.volume, path, cached: segment.file).passes(
                    record.location.offset..<record.location.offset + record.location.length)
            }
            guard isSame else { throw .damaged("the device has other bytes than the page cache") }
            if record.header.hasContent { try record.verify() }
            return true
        } catch {
            if error.isUnreadable { throw .unreadableEnd("\(error)") }
            guard error.isDamage else { throw error }
            Log.warning(
                "record of the last batch not adopted", ["sequence": "\(record.header.sequence)", "why": "\(error)"])
            return false
        }
    }

    private func keep(_ record: StoredRecord) {
        let location = record.location
        let path = directory.segment(writer: writer, number: location.segment)
        guard let file = try? directory.volume.open(path, O_RDONLY), let size = try? file.size() else { return }
        // What is there of it: the file may end before the record does.
        let length = min(location.length, size - min(size, location.offset))
        guard length <= 1 << 30 else { return }
        var bytes = [UInt8](repeating: 0, count: Int(length))
        _ = try? bytes.withMutableRawBytes { buffer throws(SystemError) in
            try file.read(into: buffer, at: location.offset)
        }
        bytes.withRawBytes {
            quarantine.keep($0, reason: "record \(record.header.sequence), cut from the end of the log")
        }
    }

    private func cut(to end: LogPosition) throws(LogError) -> UInt64 {
        let path = directory.segment(writer: writer, number: end.segment)
        guard directory.volume.exists(path) else { return 0 }
        // Throws if the segment's block is damaged: then its records were not found, and are not what is cut.
        _ = try reader.segment(writer: writer, number: end.segment)
        return try wrappingSystemErrors { () throws(SystemError) in
            let file = try directory.volume.open(path, O_RDWR)
            let size = try file.size()
            if size > end.endOffset { try file.truncate(to: end.endOffset) }
            // Also if an earlier start has cut it and was stopped before it synced: behind a successor, a tail that comes
            // back would be damage. All of the file, since a size that is too large may be no part of its data.
            try file.synchronize()
            return size > end.endOffset ? size - end.endOffset : 0
        }
    }

    /// Removes segments that were begun behind the end: they hold nothing that counts, unless their block is damaged. It
    /// was synced before the first record, so behind a bad one there may be all that was acknowledged since.
    private func removeSegments(behind end: LogPosition) throws(LogError) {
        // Before its first record, the end's own segment may be unfinished.
        let last = end.endOffset == UInt64(Segment.blockBytes) ? end.segment - 1 : end.segment
        for number in try Segment.numbers(directory, writer: writer).reversed() where number > last {
            let path = directory.segment(writer: writer, number: number)
            let size = try wrappingSystemErrors { () throws(SystemError) in
                try directory.volume.open(path, O_RDONLY).size()
            }
            if size > UInt64(Segment.blockBytes) { _ = try reader.segment(writer: writer, number: number) }
            // Without a sync: should its name come back, it is removed again, and a new segment of this number has its own
            // name synced before anything counts on it.
            try wrappingSystemErrors { () throws(SystemError) in try directory.volume.unlink(path) }
            reader.forget(writer: writer, number: number)
        }
    }
}

/// Makes sure that the device has what the page cache shows.
private struct DeviceCheck {
    private static let pieceBytes: UInt64 = 1 << 20
    private let cached: any VolumeFile
    /// Reads past the page cache; nil: the file system has no such reads.
    private let direct: (any VolumeFile)?

    init(_ volume: any Volume, _ path: String, cached: any VolumeFile) {
        self.cached = cached
        direct = try? volume.open(path, O_RDONLY | csystem_o_direct())
    }

    /// Syncs, then compares both; where that cannot be, the range is written once more, since a sync that succeeds says
    /// nothing about pages that an earlier one has failed to write.
    /// - Returns: false: the device has other bytes, or the file is shorter.
    func passes(_ range: Range<UInt64>) throws(SystemError) -> Bool {
        let size = Int(min(Self.pieceBytes, range.upperBound - range.lowerBound))
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size * 2, alignment: 4096)
        defer { memory.deallocate() }
        if direct != nil { try cached.synchronizeData() }
        for start in stride(from: range.lowerBound, to: range.upperBound, by: Int(Self.pieceBytes)) {
            let count = Int(min(Self.pieceBytes, range.upperBound - start))
            let left = UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
            let right = UnsafeMutableRawBufferPointer(rebasing: memory[size..<size + count])
            guard try cached.read(into: left, at: start) == count else { return false }
            if let direct {
                guard try direct.read(into: right, at: start) == count,
                    memcmp(left.baseAddress!, right.baseAddress!, count) == 0
                else { return false }
            } else {
                try cached.write(UnsafeRawBufferPointer(left), at: start)
            }
        }
        if direct == nil { try cached.synchronizeData() }
        return true
    }
}

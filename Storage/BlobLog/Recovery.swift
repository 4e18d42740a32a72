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
    package var nanoseconds: UInt64 = 0
}

/// Finds the log's end after a stop of any kind (FORMAT.md, "Record"; DURABILITY, "Recovery").
struct Recovery {
    let directory: DataDirectory
    let reader: LogReader
    let writer: UInt32

    /// Replays every good record behind `position` in order, cuts an unfinished last batch, and returns the end.
    ///
    /// The last batch is held back until all of it was read from the device and verified: after a failed write-back the
    /// page cache shows pages that never reached the disk.
    func run(
        from position: LogPosition, replay: (StoredRecord) throws(LogError) -> Void
    ) throws(LogError) -> (end: LogPosition, report: RecoveryReport) {
        var report = RecoveryReport()
        var end = position
        var batch: [StoredRecord] = []
        var gapsInBatch: [LogScan.Gap] = []
        func adopt(_ record: StoredRecord) throws(LogError) {
            try replay(record)
            report.replayed += 1
            end.sequence = max(end.sequence, record.header.sequence)
            end.segment = record.location.segment
            end.endOffset = record.location.offset + record.location.length
        }
        let scanner = LogScanner(directory: directory, reader: reader, writer: writer)
        try scanner.scan(from: position) { record throws(LogError) in
            if let first = batch.first, first.header.durableSequence != record.header.durableSequence {
                // A later batch exists, so this one was synced: damage in it is damage, not an unfinished write.
                for earlier in batch { try adopt(earlier) }
                report.gaps += gapsInBatch
                batch = []
                gapsInBatch = []
            }
            batch.append(record)
        } gap: { gap throws(LogError) in
            gapsInBatch.append(gap)
        }
        let good = try verifiedPrefix(of: batch, gaps: gapsInBatch)
        for record in batch.prefix(good) { try adopt(record) }
        report.cutBytes = try cut(to: end)
        return (end, report)
    }

    /// How many records of the last batch may be adopted: all, or those before the first bad place. A gap that lies
    /// before the whole batch is damage of an earlier one only if the batch's own number says that more was durable.
    private func verifiedPrefix(of batch: [StoredRecord], gaps: [LogScan.Gap]) throws(LogError) -> Int {
        var count = 0
        for record in batch {
            let isBehindGap = gaps.contains {
                $0.segment == record.location.segment && $0.range.lowerBound < record.location.offset
            }
            if isBehindGap, record.header.sequence != record.header.durableSequence + UInt64(count) + 1 { break }
            guard isOnDevice(record) else { break }
            count += 1
        }
        return count
    }

    private func isOnDevice(_ record: StoredRecord) -> Bool {
        do {
            let path = directory.segment(writer: writer, number: record.location.segment)
            let segment = try Segment(directory, writer: writer, number: record.location.segment, forWriting: true)
            try segment.file.synchronizeData()
            try DirectFile(path).compare(with: segment.file, record.location.offset, record.location.length)
            try record.verifyIfStored()
            return true
        } catch {
            Log.warning("record of the last batch not adopted", ["sequence": "\(record.header.sequence)", "why": "\(error)"])
            return false
        }
    }

    private func cut(to end: LogPosition) throws(LogError) -> UInt64 {
        let path = directory.segment(writer: writer, number: end.segment)
        guard FileSystem.exists(path) else { return 0 }
        return try wrappingSystemErrors { () throws(SystemError) in
            let file = try FileDescriptor.open(path, O_RDWR)
            let size = try file.size()
            var cut: UInt64 = 0
            if size > end.endOffset {
                cut = size - end.endOffset
                try file.truncate(to: end.endOffset)
                try file.synchronize()
            }
            // A segment that was begun behind the end holds nothing that counts.
            var next = end.segment + 1
            while FileSystem.exists(directory.segment(writer: writer, number: next)) {
                unlink(directory.segment(writer: writer, number: next))
                next += 1
            }
            return cut
        }
    }
}

extension StoredRecord {
    /// Verifies the content of a record that has any.
    fileprivate func verifyIfStored() throws(LogError) {
        if header.kind == .instance || header.kind == .largeInstance { try verify() }
    }
}

/// Reads past the page cache.
private struct DirectFile {
    let file: FileDescriptor

    init(_ path: String) throws(SystemError) {
        // Some file systems (tmpfs) have no device to read from; there the cache is the truth.
        if let direct = try? FileDescriptor.open(path, O_RDONLY | csystem_o_direct()) {
            file = direct
        } else {
            file = try FileDescriptor.open(path, O_RDONLY)
        }
    }

    /// Throws unless both files hold the same bytes in this range.
    func compare(with cached: FileDescriptor, _ offset: UInt64, _ length: UInt64) throws(SystemError) {
        let size = 1 << 20
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size * 2, alignment: 4096)
        defer { memory.deallocate() }
        let left = UnsafeMutableRawBufferPointer(rebasing: memory[..<size])
        let right = UnsafeMutableRawBufferPointer(rebasing: memory[size...])
        var done: UInt64 = 0
        while done < length {
            let part = Int(min(UInt64(size), length - done))
            let fromDevice = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: left[..<part]), at: offset + done)
            let fromCache = try cached.read(into: UnsafeMutableRawBufferPointer(rebasing: right[..<part]), at: offset + done)
            guard fromDevice == part, fromCache == part, memcmp(left.baseAddress!, right.baseAddress!, part) == 0 else {
                throw SystemError("compare with the device", file.path, code: EIO)
            }
            done += UInt64(part)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Platform

/// A process that has the archive's log open, from its start to its end.
final class Session {
    static let directory = "/srv/archive"
    /// The file that a record is in.
    static func segment(_ location: RecordLocation) -> String {
        func padded(_ number: UInt32) -> String {
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }
        return "\(directory)/segments/\(padded(location.writer))-\(padded(location.segment)).seg"
    }

    let log: BlobLog
    let writer: LogWriter
    let report: RecoveryReport
    let volume: SimulatedVolume

    /// Starts the process: the log is recovered from the catalog's position.
    /// - Parameters:
    ///   - segmentBytes: from which length on a segment gets a successor.
    ///   - replay: is called for each record that the catalog does not have.
    init(
        _ volume: SimulatedVolume, _ oracle: Oracle, segmentBytes: UInt64, from position: LogPosition,
        replay: (StoredRecord) -> Void
    ) throws(LogError) {
        self.volume = volume
        log = try BlobLog(
            try DataDirectory(Self.directory, volume: volume), segmentBytes: segmentBytes,
            quarantineBytes: 1 << 18)
        var large: Set<UInt64> = []
        (writer, report) = try log.recover(from: position) { record throws(LogError) in
            if record.header.kind == .largeInstance { large.insert(record.header.largeNumber) }
            replay(record)
        }
        try log.settleIncoming { blobID, number in
            large.contains(number)
                || oracle.kept.contains { $0.sequence <= position.sequence && $0.refers(to: blobID, number) }
        }
    }

    /// Hands a batch to the log as the archive does; what it throws, it throws after the batch has failed.
    func append(_ batch: [Submission], _ pool: BufferPool) throws(LogError) -> [(RecordHeader, RecordLocation)] {
        var files: [(LargeObjectFile, BlobID)] = []
        var records: [NewRecord] = []
        for submission in batch {
            var number: UInt64 = 0
            if submission.kind == .largeInstance {
                let file = try receive(submission)
                files.append((file, submission.blobID))
                number = file.number
            }
            records.append(submission.record(pool, largeNumber: number))
        }
        do {
            let placed = try writer.append(records)
            for (file, blobID) in files { file.keep(blobID) }
            return placed
        } catch {
            for (file, _) in files { file.leave() }
            throw error
        }
    }

    private func receive(_ submission: Submission) throws(LogError) -> LargeObjectFile {
        let file = try LargeObjectFile(log.directory)
        let half = submission.payload.count / 2
        for part in [submission.payload[..<half], submission.payload[half...]] where !part.isEmpty {
            try Array(part).withRawBytes { bytes throws(LogError) in try file.append(bytes) }
        }
        try file.finish(submission.blobID)
        return file
    }
}

extension Oracle.Kept {
    fileprivate func refers(to blobID: BlobID, _ number: UInt64) -> Bool {
        header.kind == .largeInstance && header.blobID == blobID && header.largeNumber == number
    }
}

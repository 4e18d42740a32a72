// SPDX-License-Identifier: Apache-2.0
import CSodium
import Glibc
import Platform

/// The append-only log of everything the archive has accepted: opening, recovery, and the parts that others use.
package final class BlobLog {
    package static let writerID: UInt32 = 1

    package let directory: DataDirectory
    package let reader: LogReader
    package let quarantine: Quarantine
    /// The second copy; nil: none is wanted.
    package let mirror: Mirror?
    private let segmentBytes: UInt64
    /// To be closed by who recovers, when all that was found is dealt with.
    package let recoveryMirror: RecoveryMirror
    /// Whether recovery passed places without a readable record.
    private var hasGaps = false

    package init(
        _ directory: DataDirectory, segmentBytes: UInt64 = 1 << 30, quarantineBytes: UInt64 = 1 << 30,
        mirror: Mirror? = nil
    ) throws(LogError) {
        precondition(sodium_init() >= 0, "libsodium cannot start")
        self.directory = directory
        self.segmentBytes = segmentBytes
        self.mirror = mirror
        recoveryMirror = RecoveryMirror(mirror)
        reader = LogReader(directory)
        quarantine = try Quarantine(directory, maximumBytes: quarantineBytes)
    }

    /// Replays what the catalog has not seen, brings the end of the log in order, and opens it for appending.
    package func recover(
        from position: LogPosition, replay: (StoredRecord) throws(LogError) -> Void
    ) throws(LogError) -> (writer: LogWriter, report: RecoveryReport) {
        let start = Clock.monotonicNanoseconds()
        let recovery = Recovery(directory: directory, reader: reader, writer: Self.writerID, quarantine: quarantine)
        var (end, report) = try recovery.run(from: position, replay: replay)
        report.fromMirror = try takeFromMirror(&end, replay)
        report.missing = try Manifest.check(directory, reached: position == .start ? 0 : position.segment)
        hasGaps = !report.gaps.isEmpty
        report.nanoseconds = Clock.monotonicNanoseconds() - start
        let writer = try LogWriter(
            directory, writer: Self.writerID, segmentBytes: segmentBytes, end: end, mirror: mirror)
        return (writer, report)
    }

    /// Takes what the mirror has behind the end. A mirror that cannot be read is no reason not to start.
    private func takeFromMirror(
        _ end: inout LogPosition, _ replay: (StoredRecord) throws(LogError) -> Void
    ) throws(LogError) -> Int {
        guard let mirror, let other = recoveryMirror.reopen() else { return 0 }
        let before = end.sequence
        do throws(LogError) {
            try MirrorExtension(primary: directory, reader: reader, mirror: other, mirrorReader: LogReader(other))
                .run(&end, replay: replay)
        } catch {
            // What came before the other machine went away is here, and synced.
            guard case .system(let error) = error, error.code == ENOTCONN else { throw error }
            mirror.note("\(error)")
        }
        let count = Int(end.sequence - before)
        if count > 0 {
            Log.warning("records came from the mirror that the archive did not have", ["records": "\(count)"])
        }
        return count
    }

    /// Walks through all records without changing anything; `gap` is told where none could be read.
    package func forEachRecord(
        _ body: (StoredRecord) throws(LogError) -> Void, gap: (LogScan.Gap) throws(LogError) -> Void
    ) throws(LogError) {
        let scanner = LogScanner(directory: directory, reader: reader, writer: Self.writerID)
        try scanner.scan(from: .start, body, gap: gap)
    }

    /// The same behind a place, for who reads no more than headers.
    package func forEachHead(
        after position: LogPosition, _ body: (StoredRecord) throws(LogError) -> Void
    ) throws(LogError) {
        let scanner = LogScanner(directory: directory, reader: reader, writer: Self.writerID, forHeaders: true)
        try scanner.scan(from: position, body) { _ in
        }
    }

    /// Records behind a place, up to a sequence number and so many of them, and the place behind the last one.
    package func records(
        after position: LogPosition, upTo sequence: UInt64, limit: Int
    ) throws(LogError) -> (records: [StoredRecord], position: LogPosition) {
        var found: [StoredRecord] = []
        var end = position
        var isEnough = false
        let scanner = LogScanner(directory: directory, reader: reader, writer: Self.writerID)
        do throws(LogError) {
            try scanner.scan(from: position) { record throws(LogError) in
                guard record.header.sequence <= sequence, found.count < limit else {
                    isEnough = true
                    throw .stopped("enough was read")
                }
                found.append(record)
                end = LogPosition(
                    sequence: record.header.sequence, segment: record.location.segment,
                    endOffset: record.location.offset + record.header.recordLength)
            } gap: { _ in
            }
        } catch {
            guard isEnough else { throw error }
        }
        return (found, end)
    }

    /// Segments of which a higher generation exists, oldest first.
    package func supersededSegments() throws(LogError) -> [(generation: UInt32, number: UInt32)] {
        let live = Set(try Segment.live(directory))
        return try Segment.all(directory).filter { !live.contains($0) }.map { ($0.generation, $0.number) }
    }

    /// Removes what a compaction that was stopped had written so far; it begins anew.
    package func removeUnfinishedSegments() throws(LogError) {
        let folder = directory.segments
        try wrappingSystemErrors { () throws(SystemError) in
            for name in try directory.volume.entries(folder) where name.hasSuffix(".seg.new") {
                try directory.volume.unlink("\(folder)/\(name)")
            }
        }
    }

    /// Puts the files of `incoming` where they belong after a stop: unfinished ones are removed, those that the log
    /// refers to move to `large`, and what is left goes to quarantine, never to deletion. Where recovery could not read
    /// every record, one of those may refer to a file that is left, so that goes to `large` too.
    package func settleIncoming(isReferenced: (BlobID, UInt64) -> Bool) throws(LogError) {
        let incoming = directory.incoming
        let volume = directory.volume
        let names = try wrappingSystemErrors { () throws(SystemError) in try volume.entries(incoming) }
        for name in names {
            let path = "\(incoming)/\(name)"
            if name.hasSuffix(".part") {
                try? volume.unlink(path)
            } else if let (blobID, number) = DataDirectory.parse(largeName: name),
                hasGaps || isReferenced(blobID, number)
            {
                try? volume.rename(path, to: "\(directory.large)/\(name)")
            } else {
                let bytes = (try? volume.open(path, O_RDONLY).size()) ?? 0
                quarantine.keep(
                    fileAt: path, bytes: bytes,
                    reason: "large object without a record (stopped before it was acknowledged)")
            }
        }
    }
}

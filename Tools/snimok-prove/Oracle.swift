// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Glibc

/// What must be in the log, what may be, and what must not: kept beside it, from what was promised to its callers alone. A
/// value, copied with each image of the disk.
struct Oracle {
    /// A record that somebody was told is stored, or that a start has found and given to the catalog.
    struct Kept {
        let submission: Submission
        let header: RecordHeader
        let location: RecordLocation
        /// The whole record as it lies in its file.
        let bytes: [UInt8]
        /// Name of a large object's file; empty: none.
        let largeName: String

        var sequence: UInt64 { header.sequence }
    }

    /// In the order of their numbers.
    private(set) var kept: [Kept] = []
    /// Everything that was ever handed to the log, by number.
    private(set) var submissions: [Submission] = []
    /// Where the catalog was after each of its transactions; it may lose the last of them.
    private(set) var positions: [LogPosition] = []

    // MARK: What happens

    mutating func submit(_ submission: Submission) { submissions.append(submission) }

    mutating func keep(
        _ submission: Submission, _ header: RecordHeader, _ location: RecordLocation, _ disk: SimulatedDisk
    )
        throws(Violation)
    {
        if let last = kept.last, header.sequence <= last.sequence {
            throw Violation("sequence number \(header.sequence) is given away twice")
        }
        guard let bytes = Self.bytes(of: location, disk) else {
            throw Violation("record \(header.sequence) is acknowledged but not in its file")
        }
        let largeName = header.kind == .largeInstance ? Self.largeName(header) : ""
        kept.append(
            Kept(submission: submission, header: header, location: location, bytes: bytes, largeName: largeName))
    }

    mutating func commit(_ position: LogPosition) { positions.append(position) }

    /// The catalog has taken records in before the start that found them was through.
    mutating func commit(replayed: ArraySlice<StoredRecord>, _ disk: SimulatedDisk) throws(Violation) {
        for record in replayed {
            if record.header.sequence > kept.last?.sequence ?? 0 { try adopt(record, disk) }
            commit(Self.position(behind: record))
        }
    }

    /// The catalog has lost all transactions behind its first `count`.
    mutating func rollBack(to count: Int) { positions.removeSubrange(count...) }

    // MARK: What must be

    /// Checks what a start has replayed from `position`, and takes over what it was right to find.
    mutating func check(replayed: [StoredRecord], from position: LogPosition, _ session: Session) throws(Violation) {
        var expected = kept[(kept.firstIndex { $0.sequence > position.sequence } ?? kept.count)...]
        var last = position.sequence
        /// A record that the device would not read is not replayed, but told of.
        func checkIsMissed(_ kept: Kept) throws(Violation) {
            let location = kept.location
            let isTold = session.report.gaps.contains {
                $0.isUnreadable && $0.segment == location.segment
                    && ($0.range.contains(location.offset) || $0.range.upperBound > location.offset + location.length)
            }
            guard isTold else { throw Violation("record \(kept.sequence) is lost") }
        }
        for record in replayed {
            let sequence = record.header.sequence
            guard sequence > last else { throw Violation("record \(sequence) is replayed behind record \(last)") }
            last = sequence
            while let next = expected.first, next.sequence < sequence {
                try checkIsMissed(next)
                expected = expected.dropFirst()
            }
            if let next = expected.first, next.sequence == sequence {
                expected = expected.dropFirst()
                try check(record, is: next.submission)
                guard record.location == next.location else { throw Violation("record \(sequence) has moved") }
            } else {
                try adopt(record, session.volume.disk)
            }
            commit(Self.position(behind: record))
        }
        for lost in expected { try checkIsMissed(lost) }
    }

    /// Takes over a record that nobody was promised, but that was once submitted.
    private mutating func adopt(_ record: StoredRecord, _ disk: SimulatedDisk) throws(Violation) {
        let sequence = record.header.sequence
        guard let number = Submission.number(of: record), submissions.indices.contains(number) else {
            throw Violation("record \(sequence) was never submitted")
        }
        guard !kept.contains(where: { $0.submission.number == number }) else {
            throw Violation("record \(sequence) is in the log twice")
        }
        try check(record, is: submissions[number])
        try keep(submissions[number], record.header, record.location, disk)
    }

    private func check(_ record: StoredRecord, is submission: Submission) throws(Violation) {
        if let difference = submission.difference(from: record) {
            throw Violation("record \(record.header.sequence) \(difference)")
        }
    }

    /// Checks that the log, walked through from its beginning, is what must be there and nothing else.
    func checkWalk(_ log: BlobLog) throws(Violation) {
        var rest = kept[...]
        var failure: Violation?
        do throws(LogError) {
            try log.forEachRecord {
                if let next = rest.popFirst(), next.header == $0.header, next.location == $0.location { return }
                failure = failure ?? Violation("record \($0.header.sequence) stands where another should")
            } gap: {
                failure = failure ?? Violation("no record in bytes \($0.range) of segment \($0.segment)")
            }
        } catch {
            throw Violation("the log cannot be walked through: \(error)")
        }
        if let failure { throw failure }
        if let lost = rest.first { throw Violation("record \(lost.sequence) is lost") }
    }

    /// Checks that a record is served by its place.
    func checkRecord(_ index: Int, _ reader: LogReader) throws(Violation) {
        let kept = kept[index]
        let record: StoredRecord
        do { record = try reader.record(at: kept.location) } catch {
            throw Violation("record \(kept.sequence) is not served: \(error)")
        }
        guard record.header == kept.header else { throw Violation("another record is served for \(kept.sequence)") }
        try check(record, is: kept.submission)
    }

    /// Compares everything that must be there with what programs see.
    func checkFiles(_ disk: SimulatedDisk) throws(Violation) {
        for kept in kept where Self.bytes(of: kept.location, disk, matching: kept.bytes) == nil {
            throw Violation("record \(kept.sequence) is lost or changed in its segment")
        }
        for kept in kept where !kept.largeName.isEmpty {
            let paths = ["large", "incoming"].map { "\(Session.directory)/\($0)/\(kept.largeName)" }
            guard let content = paths.lazy.compactMap({ disk.content($0) }).first, kept.submission.isPayload(content)
            else { throw Violation("the file of large record \(kept.sequence) is lost or changed") }
        }
    }

    private static func position(behind record: StoredRecord) -> LogPosition {
        LogPosition(
            sequence: record.header.sequence, segment: record.location.segment,
            endOffset: record.location.offset + record.location.length)
    }

    private static func largeName(_ header: RecordHeader) -> String {
        let digits = String(header.largeNumber, radix: 16)
        return "\(header.blobID)-\(String(repeating: "0", count: 16 - digits.count))\(digits).dcm"
    }

    /// The bytes of a record as programs see them; nil: the file is too short, or they are others than `expected`.
    private static func bytes(
        of location: RecordLocation, _ disk: SimulatedDisk, matching expected: [UInt8]? = nil
    ) -> [UInt8]? {
        guard let inode = disk.inode(Session.segment(location)) else { return nil }
        let content = disk.inodes[inode].cached
        let range = Int(location.offset)..<Int(location.offset + location.length)
        guard range.upperBound <= content.count else { return nil }
        guard let expected else { return Array(content[range]) }
        return content.withUnsafeBytes { memcmp($0.baseAddress! + range.lowerBound, expected, range.count) } == 0
            ? expected : nil
    }
}

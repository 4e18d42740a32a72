// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// At start: what the mirror has behind the archive's end was synced there and not here, or was lost here since. It is
/// copied back, byte for byte, and goes on to be replayed.
struct MirrorExtension {
    private static let recordsAtOnce = 500
    private static let bytesAtOnce: UInt64 = 64 << 20
    let primary: DataDirectory
    let reader: LogReader
    let mirror: DataDirectory
    let mirrorReader: LogReader

    func run(
        _ end: inout LogPosition, replay: (StoredRecord) throws(LogError) -> Void
    ) throws(LogError) {
        guard try isSameUpTo(end) else { return }
        while true {
            let records = try next(end)
            guard !records.isEmpty else {
                // The mirror's segment ends here; there may be a next one.
                guard try goOn(&end) else { return }
                continue
            }
            for record in records where record.header.kind == .largeInstance { try bringLarge(record) }
            try copy(records)
            for record in records {
                try replay(try reader.record(at: record.location))
                end.sequence = record.header.sequence
                end.endOffset = record.location.offset + record.location.length
            }
        }
    }

    private func path(_ directory: DataDirectory, _ number: UInt32) -> String {
        directory.segment(writer: BlobLog.writerID, number: number)
    }

    /// Whether the mirror is longer, and the same as far as the archive goes: only then do its records follow these.
    private func isSameUpTo(_ end: LogPosition) throws(LogError) -> Bool {
        let mirrorPath = path(mirror, end.segment)
        guard try mirror.has(mirrorPath) else { return false }
        let file = try open(mirror, mirrorPath)
        let size = try wrappingSystemErrors { () throws(SystemError) in try file.size() }
        let hasNext = try mirror.has(path(mirror, end.segment + 1))
        guard size > end.endOffset || hasNext && size == end.endOffset else { return false }
        if primary.volume.exists(path(primary, end.segment)) {
            return try isSame(end.segment, length: end.endOffset)
        }
        // The archive's segment was not begun; the one before tells whose log it is.
        guard end.segment > 1, primary.volume.exists(path(primary, end.segment - 1)),
            try mirror.has(path(mirror, end.segment - 1))
        else { return true }
        let before = try open(primary, path(primary, end.segment - 1))
        return try isSame(end.segment - 1, length: wrappingSystemErrors { () throws(SystemError) in try before.size() })
    }

    private func isSame(_ number: UInt32, length: UInt64) throws(LogError) -> Bool {
        let left = try open(primary, path(primary, number))
        let right = try open(mirror, path(mirror, number))
        if try MirrorFile.isSame(left, right, 0..<length) { return true }
        Log.warning("the mirror's log is another than the archive's", ["segment": "\(number)"])
        return false
    }

    private func open(_ directory: DataDirectory, _ path: String) throws(LogError) -> any VolumeFile {
        try wrappingSystemErrors { () throws(SystemError) in try directory.volume.open(path, O_RDONLY) }
    }

    /// Good records that follow `end` without a gap in their numbers, each verified as the mirror's device has it.
    private func next(_ end: LogPosition) throws(LogError) -> [StoredRecord] {
        guard try mirror.has(path(mirror, end.segment)) else { return [] }
        let segment: Segment
        do throws(LogError) {
            segment = try Segment(mirror, writer: BlobLog.writerID, number: end.segment, forWriting: true)
        } catch {
            guard error.isDamage else { throw error }
            return []
        }
        try MirrorFile.settle(segment.file)
        var found: [StoredRecord] = []
        var (offset, sequence, bytes) = (end.endOffset, end.sequence, UInt64(0))
        while found.count < Self.recordsAtOnce, bytes < Self.bytesAtOnce {
            guard let header = try segment.header(at: offset), header.sequence == sequence + 1,
                let record = good(segment, offset)
            else { break }
            found.append(record)
            offset += header.recordLength
            bytes += header.recordLength
            sequence += 1
        }
        return found
    }

    private func good(_ segment: Segment, _ offset: UInt64) -> StoredRecord? {
        guard let record = try? mirrorReader.record(in: segment, at: offset) else { return nil }
        if [.instance, .largeInstance].contains(record.header.kind), (try? record.verify()) == nil { return nil }
        return record
    }

    /// Goes on to the mirror's next segment, if it continues the log.
    private func goOn(_ end: inout LogPosition) throws(LogError) -> Bool {
        let file = try open(mirror, path(mirror, end.segment))
        let size = try wrappingSystemErrors { () throws(SystemError) in try file.size() }
        let next = LogPosition(sequence: end.sequence, segment: end.segment + 1, endOffset: UInt64(Segment.blockBytes))
        guard size == end.endOffset, !(try self.next(next).isEmpty) else { return false }
        end = next
        return true
    }

    /// Durable in the archive when this returns.
    private func copy(_ records: [StoredRecord]) throws(LogError) {
        let (first, last) = (records[0].location, records[records.count - 1].location)
        let source = try open(mirror, path(mirror, first.segment))
        let target = path(primary, first.segment)
        if !primary.volume.exists(target) {
            _ = try Segment(
                copying: Segment(mirror, writer: BlobLog.writerID, number: first.segment), to: primary)
        }
        let file = try wrappingSystemErrors { () throws(SystemError) in try primary.volume.open(target, O_RDWR) }
        try MirrorFile.copy(source, first.offset..<last.offset + last.length, to: file)
    }

    private func bringLarge(_ record: StoredRecord) throws(LogError) {
        let name = primary.largeName(record.header.blobID, number: record.header.largeNumber)
        guard ![primary.incoming, primary.large].contains(where: { primary.volume.exists("\($0)/\(name)") }) else {
            return
        }
        for folder in [mirror.incoming, mirror.large] {
            guard try mirror.has("\(folder)/\(name)") else { continue }
            return try MirrorFile.copy("\(folder)/\(name)", of: mirror, to: "\(primary.large)/\(name)", of: primary)
        }
    }
}

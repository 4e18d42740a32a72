// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Holds a mirror's copy of a segment against the archive's, record by record, and puts right what is bad in the copy. What
/// is bad in the archive's own is left good in the copy.
struct MirrorComparison {
    let archive: Segment
    let copy: Segment
    let archiveReader: LogReader
    /// Where the archive's records end.
    let end: UInt64

    /// - Returns: up to where the copy has the archive's records; behind it there may be others.
    func run() throws(LogError) -> UInt64 {
        let size = try wrappingSystemErrors { () throws(SystemError) in try copy.file.size() }
        try MirrorFile.settle(copy.file)
        let common = min(size, end)
        guard common > UInt64(Segment.blockBytes) else { return UInt64(Segment.blockBytes) }
        if try MirrorFile.isSame(archive.file, copy.file, UInt64(Segment.blockBytes)..<common) { return common }
        return try walk(to: common)
    }

    private func walk(to common: UInt64) throws(LogError) -> UInt64 {
        var offset = UInt64(Segment.blockBytes)
        while offset < common {
            switch (try archive.header(at: offset), try copy.header(at: offset)) {
            case (let mine?, let theirs?) where mine != theirs: return offset
            case (let mine?, _):
                try bring(mine, at: offset)
                offset += mine.recordLength
            // Damage in the archive: the copy is what it can be healed from.
            case (nil, let theirs?): offset += theirs.recordLength
            case (nil, nil): offset += RecordHeader.alignment
            }
        }
        return min(offset, end)
    }

    /// Writes a record into the copy if it differs there and is good here.
    private func bring(_ header: RecordHeader, at offset: UInt64) throws(LogError) {
        let range = offset..<offset + header.recordLength
        if try MirrorFile.isSame(archive.file, copy.file, range) { return }
        guard try isGood(header, at: offset) else { return }
        try MirrorFile.copy(archive.file, range, to: copy.file)
    }

    private func isGood(_ header: RecordHeader, at offset: UInt64) throws(LogError) -> Bool {
        do throws(LogError) {
            let record = try archiveReader.record(in: archive, at: offset)
            if header.kind == .instance { try record.verify() }
            return true
        } catch {
            guard error.isDamage else { throw error }
            return false
        }
    }
}

extension Segment {
    /// nil: no record begins there, or it cannot be read.
    func header(at offset: UInt64) throws(LogError) -> RecordHeader? {
        var bytes = [UInt8](repeating: 0, count: RecordHeader.byteCount)
        do throws(SystemError) {
            let count = try bytes.withMutableRawBytes { bytes throws(SystemError) in
                try file.read(into: bytes, at: offset)
            }
            guard count == bytes.count else { return nil }
        } catch {
            guard error.code == EIO else { throw .system(error) }
            return nil
        }
        let header = bytes.withUnsafeBytes { RecordHeader(decoding: $0, segment: self, offset: offset) }
        guard let header, header.recordLength > 0, header.recordLength % RecordHeader.alignment == 0 else { return nil }
        return header
    }

    /// The headers that stand from `offset` on, with their places.
    func headers(from offset: UInt64) throws(LogError) -> [(header: RecordHeader, offset: UInt64)] {
        let size = try wrappingSystemErrors { () throws(SystemError) in try file.size() }
        var found: [(header: RecordHeader, offset: UInt64)] = []
        var offset = offset
        while offset < size {
            if let header = try header(at: offset) {
                found.append((header, offset))
                offset += header.recordLength
            } else {
                offset += RecordHeader.alignment
            }
        }
        return found
    }
}

// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Copies what is live of a sealed segment into a new file, its next *generation* (FORMAT.md, "Compaction").
///
/// Every step may be the last: the new file has its final name only when it is whole, synced and verified, and the old one
/// is unlinked only when nobody refers to it any more. Whoever still reads the old file keeps it open.
package final class SegmentCompaction {
    /// The record has another place now.
    package struct Move: Sendable {
        package let blobID: BlobID
        package let from: RecordLocation
        package let to: RecordLocation
    }

    package typealias LeftSighting = (UInt64, RecordHeader, Provenance?) throws(LogError) -> Provenance?

    private static let pieceBytes = 1 << 20
    private let directory: DataDirectory
    private let reader: LogReader
    private let number: UInt32
    private let generation: UInt32
    /// Where they stand in the next generation.
    private var leftSightings: Set<UInt64> = []
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 4096)

    /// - Parameter generation: the live one.
    package init(_ log: BlobLog, number: UInt32, generation: UInt32) {
        directory = log.directory
        reader = log.reader
        self.number = number
        self.generation = generation
    }

    deinit { memory.deallocate() }

    private var next: UInt32 { generation + 1 }

    /// Writes the next generation and gives it its name.
    /// - Parameters:
    ///   - isGarbage: whether the instance record at an offset is to be left out; other kinds never are.
    ///   - sighting: of garbage at an offset whose content stands elsewhere: the provenance of the sighting that takes its
    ///     place, given its header, and its own provenance if that can be read. nil: nothing does.
    ///   - pace: called with the bytes of each piece; false: give up.
    /// - Returns: false: given up, nothing changed.
    package func write(
        isGarbage: (UInt64) -> Bool, sighting: LeftSighting = { _, _, _ in nil }, pace: (Int) -> Bool
    ) throws(LogError) -> Bool {
        let path = directory.segment(writer: next, number: number)
        let unfinished = path + ".new"
        try? directory.volume.unlink(unfinished)
        let source = try reader.segment(writer: generation, number: number)
        do throws(LogError) {
            let target = try Segment(creatingIn: directory, writer: next, number: number, suffix: ".new")
            guard try copy(source, target, isGarbage, sighting, pace), try verify(target, pace) else {
                try? directory.volume.unlink(unfinished)
                return false
            }
            try wrappingSystemErrors { () throws(SystemError) in
                try directory.volume.rename(unfinished, to: path)
                try directory.volume.synchronizeDirectory(directory.segments)
            }
            return true
        } catch {
            try? directory.volume.unlink(unfinished)
            throw error
        }
    }

    private func copy(
        _ source: Segment, _ target: Segment, _ isGarbage: (UInt64) -> Bool,
        _ sighting: LeftSighting, _ pace: (Int) -> Bool
    ) throws(LogError) -> Bool {
        var end = UInt64(Segment.blockBytes)
        var isGoingOn = true
        try forEachHeader(source) { header, offset throws(LogError) in
            guard isGoingOn else { return }
            if header.hasContent, isGarbage(offset) {
                let own = try self.provenance(source, offset)
                // One that has itself replaced another may be the archive's own copy, which came from nobody.
                guard own != nil || !header.flags.contains(.heals),
                    let provenance = try sighting(offset, header, own)
                else { return }
                let length = try self.append(sightingOf: header, provenance, to: target, at: end)
                self.leftSightings.insert(end)
                end += length
                isGoingOn = pace(Int(length))
                return
            }
            var done: UInt64 = 0
            while done < header.recordLength, isGoingOn {
                let count = Int(min(UInt64(Self.pieceBytes), header.recordLength - done))
                let piece = UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
                try wrappingSystemErrors { () throws(SystemError) in
                    guard try source.file.read(into: piece, at: offset + done) == count else {
                        throw SystemError("read", source.file.path, code: EIO)
                    }
                }
                if done == 0 { piece.copyBytes(from: header.encoded(segment: target, offset: end)) }
                try wrappingSystemErrors { () throws(SystemError) in
                    try target.append(UnsafeRawBufferPointer(piece), at: end + done)
                }
                done += UInt64(count)
                isGoingOn = pace(count)
            }
            end += header.recordLength
        }
        guard isGoingOn else { return false }
        try wrappingSystemErrors { () throws(SystemError) in try target.file.synchronize() }
        return true
    }

    /// nil: it is damaged.
    private func provenance(_ segment: Segment, _ offset: UInt64) throws(LogError) -> Provenance? {
        do throws(LogError) { return try reader.provenance(in: segment, at: offset) } catch {
            guard error.isDamage else { throw error }
            return nil
        }
    }

    /// What is left of a record whose content stands elsewhere: that it came, when, and from whom.
    private func append(
        sightingOf header: RecordHeader, _ provenance: Provenance, to target: Segment, at end: UInt64
    ) throws(LogError) -> UInt64 {
        var record = NewRecord(
            kind: .sighting, receivedAtNanoseconds: header.receivedAtNanoseconds, blobID: header.blobID,
            provenance: provenance.encoded())
        record.flags = header.flags.subtracting(.heals)
        let left = RecordHeader(record, sequence: header.sequence, durableSequence: header.durableSequence)
        let bytes = left.encoded(segment: target, offset: end) + record.provenance
        let piece = UnsafeMutableRawBufferPointer(rebasing: memory[..<Int(left.recordLength)])
        piece.copyBytes(from: bytes)
        UnsafeMutableRawBufferPointer(rebasing: piece[bytes.count...]).initializeMemory(as: UInt8.self, repeating: 0)
        try wrappingSystemErrors { () throws(SystemError) in
            try target.append(UnsafeRawBufferPointer(piece), at: end)
        }
        return left.recordLength
    }

    /// Reads back all of the new file; a copy that was not read again is none.
    private func verify(_ target: Segment, _ pace: (Int) -> Bool) throws(LogError) -> Bool {
        // What was written went past the page cache where that is possible, else it leaves it here.
        target.file.advise(POSIX_FADV_DONTNEED, 0..<0)
        var isGoingOn = true
        try forEachHeader(target) { header, offset throws(LogError) in
            guard isGoingOn else { return }
            // A large object's own file is not moved.
            if header.kind == .instance { try reader.record(in: target, at: offset).verify() }
            if leftSightings.contains(offset) { _ = try reader.record(in: target, at: offset) }
            isGoingOn = pace(Int(clamping: header.recordLength))
        }
        return isGoingOn
    }

    /// What has another place in the next generation, by sequence numbers; also after a stop in between.
    package func moves() throws(LogError) -> [Move] {
        var places: [UInt64: RecordLocation] = [:]
        try forEachHeader(try reader.segment(writer: next, number: number)) { header, offset throws(LogError) in
            if header.hasContent { places[header.sequence] = self.location(self.next, header, offset) }
        }
        var moves: [Move] = []
        try forEachHeader(try reader.segment(writer: generation, number: number)) { header, offset throws(LogError) in
            guard let place = places[header.sequence] else { return }
            moves.append(Move(blobID: header.blobID, from: self.location(self.generation, header, offset), to: place))
        }
        return moves
    }

    private func location(_ generation: UInt32, _ header: RecordHeader, _ offset: UInt64) -> RecordLocation {
        RecordLocation(writer: generation, segment: number, offset: offset, length: header.recordLength)
    }

    /// Unlinks the old generation and the large objects that only it refers to. Everybody must have been told the new places.
    /// - Returns: bytes that come back.
    package func removeOld() throws(LogError) -> UInt64 {
        var kept: Set<UInt64> = []
        let target = try reader.segment(writer: next, number: number)
        try forEachHeader(target) { header, _ throws(LogError) in
            if header.hasContent { kept.insert(header.sequence) }
        }
        let source = try reader.segment(writer: generation, number: number)
        var freed = try size(source)
        freed -= min(freed, try size(target))
        try forEachHeader(source) { header, _ throws(LogError) in
            guard header.kind == .largeInstance, !kept.contains(header.sequence) else { return }
            let path = "\(self.directory.large)/\(self.directory.largeName(header.blobID, number: header.largeNumber))"
            do throws(SystemError) {
                try self.directory.volume.unlink(path)
                freed += header.payloadLength
            } catch {
                // Only the old generation knows of it, so that stays as long as this does.
                guard error.code == ENOENT else { throw .system(error) }
            }
        }
        let path = directory.segment(writer: generation, number: number)
        try wrappingSystemErrors { () throws(SystemError) in
            try directory.volume.unlink(path)
            try directory.volume.synchronizeDirectory(directory.segments)
        }
        reader.forget(writer: generation, number: number)
        return freed
    }

    private func size(_ segment: Segment) throws(LogError) -> UInt64 {
        try wrappingSystemErrors { () throws(SystemError) in try segment.file.size() }
    }

    /// Walks from header to header; a sealed segment has nothing else. One with damage is not compacted, so that repair finds
    /// everything where it was.
    private func forEachHeader(
        _ segment: Segment, _ body: (RecordHeader, UInt64) throws(LogError) -> Void
    ) throws(LogError) {
        let size = try size(segment)
        var offset = UInt64(Segment.blockBytes)
        var bytes = [UInt8](repeating: 0, count: RecordHeader.byteCount)
        while offset < size {
            let place = offset
            let header = try wrappingSystemErrors { () throws(SystemError) in
                try bytes.withMutableRawBytes { bytes throws(SystemError) -> RecordHeader? in
                    guard try segment.file.read(into: bytes, at: place) == bytes.count else { return nil }
                    return RecordHeader(decoding: UnsafeRawBufferPointer(bytes), segment: segment, offset: place)
                }
            }
            guard let header, header.recordLength > 0, header.recordLength <= size - offset else {
                throw .damaged("no record at byte \(offset) of \(segment.file.path); it is compacted after repair")
            }
            try body(header, offset)
            offset += header.recordLength
        }
    }
}

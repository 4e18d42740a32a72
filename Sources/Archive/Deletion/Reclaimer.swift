// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Platform

/// Makes deletions final when their grace is over, and gives back the space of what nobody refers to any more: by itself
/// once a minute, or when it is asked to.
package final class Reclaimer: Sendable {
    package struct Result: Sendable {
        package var segments = 0
        package var freedBytes: UInt64 = 0
    }

    private enum State { case waiting, working, stopping, stopped }

    private static let intervalSeconds = 60.0
    private static let movesAtOnce = 2000
    private let archive: Archive
    private let state = Monitor(State.waiting)

    init(_ archive: Archive) { self.archive = archive }

    /// Starts the thread.
    func run() throws(SystemError) {
        try SystemThread(name: "reclaim", stackBytes: 1 << 20) { [self] in
            SystemThread.yieldToOthers()
            while wait() {
                do { _ = try work(everything: false) } catch {
                    Log.error("space could not be reclaimed", ["why": "\(error)"])
                }
                finish()
            }
        }.detach()
    }

    /// Ends what is going on at the next piece.
    func stop() {
        state.update { state in
            if state == .waiting { state = .stopped } else { state = .stopping }
        }
        state.wait { $0 == .stopped ? true : nil }
    }

    /// Does at once what the thread does from time to time.
    /// - Parameter everything: compact wherever there is garbage, also in the segment that is open.
    package func compact(everything: Bool) throws(ArchiveError) -> Result {
        let isFree = state.wait { state -> Bool? in
            switch state {
            case .working: return nil
            case .stopping, .stopped: return false
            case .waiting:
                state = .working
                return true
            }
        }
        guard isFree == true else { throw .failed("the archive is stopping") }
        defer { finish() }
        return try work(everything: everything)
    }

    /// - Returns: false: the archive is stopping.
    private func wait() -> Bool {
        let deadline = Clock.deadline(seconds: Self.intervalSeconds)
        _ = state.wait(until: deadline) { $0 == .stopped ? true : nil }
        return state.wait { state -> Bool? in
            switch state {
            case .working, .stopping: return nil
            case .stopped: return false
            case .waiting:
                state = .working
                return true
            }
        } ?? false
    }

    private func finish() { state.update { $0 = $0 == .stopping ? .stopped : .waiting } }

    private var isStopping: Bool { state.withLock { $0 == .stopping } }

    // MARK: Work

    private func work(everything: Bool) throws(ArchiveError) -> Result {
        var result = Result()
        if archive.stopReason != nil { return result }
        try makeFinal()
        for (generation, number) in try candidates(everything: everything) where !isStopping {
            // It would be copied for nothing, once a minute, while the catalog cannot be told where its records are now.
            if let refusal = archive.committer.refusal { throw refusal }
            do {
                result.freedBytes += try compact(number, generation)
                result.segments += 1
            } catch ArchiveError.log(let error) where error.isDamageFound {
                Log.error("segment not compacted", ["segment": "\(number)", "why": "\(error)"])
            }
        }
        return result
    }

    /// Purges what was deleted longer ago than the grace.
    private func makeFinal() throws(ArchiveError) {
        let until = Clock.wallNanoseconds() - Int64(archive.settings.deletionGraceSeconds * 1e9)
        let expired: [CatalogDeletion]
        do { expired = try archive.readers.withReader { try $0.deletions(pendingSinceBefore: until) } } catch {
            throw Archive.wrap(error)
        }
        guard !expired.isEmpty else { return }
        archive.register.add(expired)
        // What is to be dropped may stand in the open segment.
        try archive.committer.exclusively { writer in writer.seal() }
        for tombstone in expired.map(\.sequence) {
            try archive.annotate(
                ControlRecord.Annotation.purge.rawValue, target: "\(tombstone)", by: .archive)
            Log.info("deletion is for good", ["tombstone": "\(tombstone)"])
        }
    }

    private func candidates(everything: Bool) throws(ArchiveError) -> [(generation: UInt32, number: UInt32)] {
        do {
            var garbage = try archive.readers.withReader { try $0.garbage() }
            if everything, let last = garbage.last, last.segment >= openSegment {
                try archive.committer.exclusively { writer in writer.seal() }
                // The open segment is the one that the last record stands in.
                try archive.annotate("compaction", by: .archive)
                garbage = try archive.readers.withReader { try $0.garbage() }
            }
            return try garbage.filter { entry in
                guard entry.segment < openSegment else { return false }
                if everything { return true }
                guard archive.settings.compactionBytesPerSecond > 0 else { return false }
                // One that is missing is told at start and by `verify`; others are compacted all the same.
                guard
                    let size = try Segment.bytes(
                        archive.directory, generation: entry.writer, number: entry.segment)
                else { return false }
                return entry.bytes * 100 >= size * archive.settings.compactionGarbagePercent
            }.map { ($0.writer, $0.segment) }
        } catch { throw Archive.wrap(error) }
    }

    private var openSegment: UInt32 {
        (try? archive.readers.withReader { try $0.position()?.segment ?? 0 }) ?? 0
    }

    private func compact(_ number: UInt32, _ generation: UInt32) throws(ArchiveError) -> UInt64 {
        let compaction = SegmentCompaction(archive.log, number: number, generation: generation)
        let garbage: [UInt64: [UInt8]]
        let replaced: [UInt64: [UInt8]]
        do {
            (garbage, replaced) = try archive.readers.withReader {
                (
                    try $0.garbage(writer: generation, segment: number),
                    try $0.replaced(writer: generation, segment: number)
                )
            }
        } catch { throw Archive.wrap(error) }
        let pace = Pace(bytesPerSecond: archive.settings.compactionBytesPerSecond)
        do {
            let isWritten = try compaction.write(
                isGarbage: { garbage[$0] != nil },
                sighting: { offset, header, own throws(LogError) in
                    replaced[offset] == nil ? nil : try self.sighting(of: header, own)
                },
                pace: { count in
                    pace.spend(count)
                    return !self.isStopping
                })
            guard isWritten else { return 0 }
        } catch { throw .log(error) }
        try Self.tellPlaces(compaction, archive.log, number, generation) { body throws(ArchiveError) in
            try self.archive.committer.withCatalog(body)
        }
        let freed: UInt64
        do { freed = try compaction.removeOld() } catch { throw .log(error) }
        Log.info("segment compacted", ["segment": "\(number)", "generation": "\(generation + 1)", "freed": "\(freed)"])
        archive.metrics.freedBytes.add(Int(clamping: freed))
        return freed
    }

    /// What is left of a record that was found damaged and replaced: that the content came then, and from whom, is said
    /// nowhere else.
    /// - Parameter own: its provenance, if that can be read.
    private func sighting(of header: RecordHeader, _ own: Provenance?) throws(LogError) -> Provenance? {
        if let own {
            // The archive's own copies came from nobody.
            return own[.annotationName] == ControlRecord.heal ? nil : own.marked(ControlRecord.replaced)
        }
        let found: CatalogLocation?
        do { found = try archive.readers.withReader { try $0.location(ofBlob: header.blobID.bytes) }?.0 } catch {
            throw .stopped("the catalog cannot be asked: \(error)")
        }
        guard let found else { return nil }
        do throws(LogError) {
            let copy = try archive.log.reader.record(at: RecordLocation(found))
            // The copy from the mirror has it, too, if it is one of this record.
            guard copy.provenance[.annotationName] == ControlRecord.heal,
                copy.header.receivedAtNanoseconds == header.receivedAtNanoseconds
            else { return nil }
            return copy.provenance.marked(ControlRecord.replaced)
        } catch {
            guard error.isDamage else { throw error }
            return nil
        }
    }

    /// Tells the catalog the new places, and the manifest what there is.
    private static func tellPlaces(
        _ compaction: SegmentCompaction, _ log: BlobLog, _ number: UInt32, _ generation: UInt32,
        _ withCatalog: ((CatalogWriter) throws(ArchiveError) -> Void) throws(ArchiveError) -> Void
    ) throws(ArchiveError) {
        let moves: [SegmentCompaction.Move]
        do { moves = try compaction.moves() } catch { throw .log(error) }
        // A part at a time, since nothing is stored meanwhile.
        for start in stride(from: 0, to: moves.count, by: movesAtOnce) {
            let part = moves[start..<min(start + movesAtOnce, moves.count)]
            try withCatalog { catalog throws(ArchiveError) in
                do throws(CatalogError) {
                    try catalog.move(
                        part.map { ($0.blobID.bytes, CatalogLocation($0.from), CatalogLocation($0.to)) })
                } catch { throw .catalog(error) }
            }
        }
        try withCatalog { catalog throws(ArchiveError) in
            do throws(CatalogError) {
                try catalog.forgetGarbage(writer: generation, segment: number)
                // A catalog that a power cut sets back must not look for the old file.
                try catalog.synchronize()
            } catch { throw .catalog(error) }
        }
        do { try Manifest.update(log.directory) } catch { throw .log(error) }
    }

    /// Ends compactions that a stop interrupted behind their rename. Before anything else uses log and catalog.
    static func finishInterrupted(_ log: BlobLog, _ catalog: CatalogWriter) throws(ArchiveError) {
        let leftovers: [(generation: UInt32, number: UInt32)]
        do {
            try log.removeUnfinishedSegments()
            leftovers = try log.supersededSegments()
        } catch { throw .log(error) }
        for (generation, number) in leftovers {
            let compaction = SegmentCompaction(log, number: number, generation: generation)
            try tellPlaces(compaction, log, number, generation) { body throws(ArchiveError) in try body(catalog) }
            do throws(LogError) {
                _ = try compaction.removeOld()
                Log.info("compaction finished that was interrupted", ["segment": "\(number)"])
            } catch {
                // Nobody refers to it, so it takes space and nothing else; the next start tries again.
                Log.error("old segment not removed", ["segment": "\(number)", "why": "\(error)"])
            }
        }
    }
}

extension Provenance {
    fileprivate func marked(_ name: String) -> Provenance {
        var provenance = self
        provenance[.annotationName] = name
        return provenance
    }
}

extension LogError {
    /// Whether stored bytes are wrong, so that only this piece of work ends.
    fileprivate var isDamageFound: Bool {
        if case .damaged = self { return true }
        return false
    }
}

/// Spends bytes at a bounded rate by sleeping. One thread at a time.
final class Pace {
    private let bytesPerSecond: UInt64
    private let start = Clock.monotonicNanoseconds()
    private var spent: UInt64 = 0

    /// - Parameter bytesPerSecond: 0: unbounded.
    init(bytesPerSecond: UInt64) { self.bytesPerSecond = bytesPerSecond }

    func spend(_ bytes: Int) {
        guard bytesPerSecond > 0 else { return }
        spent += UInt64(bytes)
        let due =
            start + spent / bytesPerSecond * 1_000_000_000
            + spent % bytesPerSecond * 1_000_000_000 / bytesPerSecond
        if due > Clock.monotonicNanoseconds() + 1_000_000 { Clock.sleep(until: due) }
    }
}

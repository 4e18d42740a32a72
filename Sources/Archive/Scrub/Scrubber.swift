// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Glibc
import Platform

/// Reads everything that is stored from time to time, slowly, so that what the disk has forgotten is known while there is
/// still another copy. Damage is noted in the log, which marks the instance, its series and its study; reads of it fail with
/// or without that.
package final class Scrubber: Sendable {
    package struct Settings: Sendable {
        /// Read from the device; 0: no scrub.
        package var bytesPerSecond: UInt64 = 20_000_000
        /// From the end of a full pass to the beginning of the next one.
        package var intervalSeconds = 168.0 * 3600

        package init() {}
    }

    private enum State { case running, stopping, stopped }

    private struct Figures {
        var permille = 0
        var lastFullPass = 0
    }

    private static let savedEverySeconds = 30.0
    private static let pauseMinimumSeconds = 1.0
    private static let startDelaySeconds = 60.0
    private static let retrySeconds = 60.0
    private static let reopenAttempts = 3

    private let archive: Archive
    private let check: RecordCheck
    private let quickCheck: RecordCheck
    private let settings: Settings
    private let state = Monitor(State.stopped)
    private let figures = Monitor(Figures())
    private let damagedFound: Metrics.Counter
    private let readBytes: Metrics.Counter
    // Of the thread alone.
    private nonisolated(unsafe) var progress: ScrubProgress
    private nonisolated(unsafe) var due: UInt64 = 0
    private nonisolated(unsafe) var savedAt: UInt64 = 0
    /// Noted already.
    private nonisolated(unsafe) var known: Set<BlobID> = []

    package init(_ archive: Archive, settings: Settings, metrics: Metrics) {
        self.archive = archive
        self.settings = settings
        check = RecordCheck(reader: archive.log.reader, readers: archive.readers)
        // What the catalog had when the pass began is asked of each record: it need not follow for that.
        quickCheck = RecordCheck(reader: archive.log.reader, readers: archive.ingestReaders)
        progress = ScrubProgress(archive.directory)
        damagedFound = metrics.counter(
            "snimok_scrub_damaged_total", "Damaged records that the scrub has found since the start.")
        readBytes = metrics.counter("snimok_scrub_read_bytes_total", "Bytes that the scrub has read since the start.")
        let figures = figures
        let lastFullPass = Int(progress.lastFullPass)
        figures.withLock { $0.lastFullPass = lastFullPass }
        metrics.gauge("snimok_scrub_progress_permille", "How much of the log the scrub's pass has read.") {
            figures.withLock { $0.permille }
        }
        metrics.gauge(
            "snimok_scrub_last_full_pass_timestamp_seconds", "When the scrub last ended a full pass; 0: never."
        ) { figures.withLock { $0.lastFullPass } }
    }

    /// Starts the thread, unless the scrub is turned off.
    package func run() throws(SystemError) {
        guard settings.bytesPerSecond > 0 else { return }
        state.withLock { $0 = .running }
        do {
            try SystemThread(name: "scrub", stackBytes: 1 << 20) { [self] in
                SystemThread.yieldToOthers()
                while waitForPass() { pass() }
                state.update { $0 = .stopped }
            }.detach()
        } catch {
            state.withLock { $0 = .stopped }
            throw error
        }
    }

    /// Ends what is going on; it goes on there after the next start.
    package func stop() {
        state.update { if $0 == .running { $0 = .stopping } }
        state.wait { $0 == .stopped ? true : nil }
    }

    private var isStopping: Bool { state.withLock { $0 != .running } }

    /// - Returns: false: the archive is stopping.
    private func sleep(seconds: Double) -> Bool {
        state.wait(until: Clock.deadline(seconds: seconds)) { $0 == .running ? nil : true } == nil
    }

    private func waitForPass() -> Bool {
        // A start has other things to do.
        let delay = max(Self.pauseMinimumSeconds, min(Self.startDelaySeconds, settings.intervalSeconds))
        if progress.isWithinPass || progress.lastFullPass == 0 { return sleep(seconds: delay) }
        let since = Double(Clock.wallNanoseconds()) / 1e9 - Double(progress.lastFullPass)
        // A clock that was set back must not put the next pass off for years.
        let pause = min(settings.intervalSeconds, max(Self.pauseMinimumSeconds, settings.intervalSeconds - since))
        return sleep(seconds: max(Self.pauseMinimumSeconds, pause))
    }

    // MARK: One pass

    private func pass() {
        do {
            try scrub()
        } catch {
            guard !isStopping else { return save() }
            Log.error("the scrub was interrupted and goes on later", ["why": "\(error)"])
            save()
            _ = sleep(seconds: Self.retrySeconds)
        }
    }

    private func scrub() throws(ArchiveError) {
        let position: CatalogPosition?
        do {
            position = try archive.readers.withReader { try $0.position() }
            known = Set(try archive.readers.withReader { try $0.damaged() }.map { BlobID($0.blobID) })
        } catch { throw Archive.wrap(error) }
        guard let position else { return endPass() }
        if !progress.isWithinPass { try scrubMissing(position) }
        do {
            let live = try Segment.live(archive.directory).filter { $0.number <= position.segment }
            let sizes = try live.map { name throws(LogError) in
                try Segment.bytes(archive.directory, generation: name.generation, number: name.number) ?? 0
            }
            let total = max(1, sizes.reduce(0, +))
            var before: UInt64 = 0
            for (name, size) in zip(live, sizes) {
                if name.number >= progress.segment {
                    progress.segment = name.number
                    try scrub(name.number, position) { offset in
                        self.figures.withLock { $0.permille = Int((before + offset) * 1000 / total) }
                    }
                }
                before += size
            }
        } catch { throw Archive.wrap(error) }
        endPass()
    }

    private func endPass() {
        progress.segment = 0
        progress.sequence = 0
        progress.lastFound = progress.found
        progress.found = 0
        progress.lastFullPass = Clock.wallNanoseconds() / 1_000_000_000
        let ended = progress
        figures.withLock { $0 = Figures(permille: 1000, lastFullPass: Int(ended.lastFullPass)) }
        save()
        Log.info("the scrub has read everything", ["damaged": "\(ended.lastFound)"])
    }

    /// A segment that compaction replaces meanwhile is read in its new generation.
    private func scrub(_ number: UInt32, _ position: CatalogPosition, _ onProgress: (UInt64) -> Void) throws {
        for attempt in 1...Self.reopenAttempts {
            guard let name = try Segment.live(archive.directory).first(where: { $0.number == number }) else { return }
            do throws(LogError) { return try scrub(name, position, onProgress) } catch {
                guard case .system(let system) = error, system.code == ENOENT, attempt < Self.reopenAttempts else {
                    throw error
                }
            }
        }
    }

    private func scrub(
        _ name: SegmentName, _ position: CatalogPosition, _ onProgress: (UInt64) -> Void
    ) throws(LogError) {
        let segment = SegmentCheck(archive.directory)
        let check = RecordCheck(reader: segment.reader, readers: archive.readers)
        try segment.forEachRecord(of: name) { record throws(LogError) in
            let sequence = record.header.sequence
            guard sequence > progress.sequence, sequence <= position.sequence else { return }
            try scrub(record, check)
            progress.sequence = sequence
            onProgress(record.location.offset + record.location.length)
            if Clock.monotonicNanoseconds() > savedAt + UInt64(Self.savedEverySeconds * 1e9) { save() }
        } gap: { gap throws(LogError) in
            // Behind the end there may be what is just being written.
            guard gap.segment < position.segment || gap.range.lowerBound < position.endOffset else { return }
            note(gap.segment, gap.range)
        }
    }

    private func scrub(_ record: StoredRecord, _ check: RecordCheck) throws(LogError) {
        try pace(record.header.metadataLength)
        guard !record.header.hasContent || quickCheck.isServed(record) else { return }
        guard let why = try check.fault(of: record, onPiece: pace) else { return }
        guard record.header.hasContent else {
            progress.found += 1
            damagedFound.add()
            return Log.error("record is damaged", ["sequence": "\(record.header.sequence)", "why": why])
        }
        // Compaction may have taken it away while it was read.
        guard check.isServed(record) else { return }
        note(record.provenance[.sopInstanceUID], record.header.blobID, why)
    }

    private func scrubMissing(_ position: CatalogPosition) throws(ArchiveError) {
        do throws(LogError) {
            let missing = try Manifest.load(archive.directory)?
                .missing(in: archive.directory, reached: position.segment)
            for entry in missing ?? [] { note(entry.number, 0..<UInt64.max) }
        } catch {
            guard error.isDamage else { throw .log(error) }
            Log.error("the manifest cannot be believed", ["why": "\(error)"])
        }
    }

    // MARK: Findings

    /// Where no record could be read, though there should be one.
    private func note(_ segment: UInt32, _ range: Range<UInt64>) {
        do {
            archive.mirrorKeeper?.restore(range, ofSegment: segment)
            let lost = try check.lost(segment: segment, range)
            // What readers are not sent to may have been anything.
            if lost.isEmpty {
                Log.error("no readable record", ["segment": "\(segment)", "bytes": "\(range)"])
            }
            for (version, why) in lost { note(version.sopInstanceUID, BlobID(version.blobID), why) }
        } catch {
            Log.error("damage cannot be noted", ["segment": "\(segment)", "bytes": "\(range)", "why": "\(error)"])
        }
    }

    private func note(_ sopInstanceUID: String, _ blobID: BlobID, _ why: String) {
        progress.found += 1
        damagedFound.add()
        Log.error(
            "stored instance is damaged", ["instance": sopInstanceUID, "blob": "\(blobID)", "why": why])
        guard known.insert(blobID).inserted else { return }
        do {
            try archive.annotate(
                ControlRecord.Annotation.damaged.rawValue, value: why,
                target: DeletionTarget(instance: sopInstanceUID).description, blobID: blobID, by: .archive)
        } catch {
            known.remove(blobID)
            Log.error("damage cannot be noted", ["blob": "\(blobID)", "why": "\(error)"])
        }
    }

    // MARK: Rate

    /// Waits until so many bytes may have been read.
    private func pace(_ bytes: Int) throws(LogError) {
        readBytes.add(bytes)
        let now = Clock.monotonicNanoseconds()
        due = max(due, now) + UInt64(bytes) * 1_000_000_000 / settings.bytesPerSecond
        if due > now + 1_000_000 { state.wait(until: due) { $0 == .running ? nil : true } }
        if isStopping { throw .stopped("the archive is stopping") }
    }

    private func save() {
        savedAt = Clock.monotonicNanoseconds()
        do { try progress.save(archive.directory) } catch {
            Log.warning("the scrub's progress cannot be saved", ["why": "\(error)"])
        }
    }
}

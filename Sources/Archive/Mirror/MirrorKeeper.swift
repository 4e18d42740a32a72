// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Glibc
import Platform

/// Looks after the second copy: attaches it, follows compaction, and heals from it what is found damaged.
package final class MirrorKeeper: Sendable {
    private enum State { case running, stopping, stopped }

    /// What the mirror follows: segments, and the list of them, which is written a moment later.
    private struct Followed: Equatable {
        var segments: Set<SegmentName> = []
        var manifest: [UInt8]?
    }

    /// What waits to be healed.
    private struct Damage {
        /// Where each was found damaged; nil: where the catalog has it.
        var contents: [BlobID: RecordLocation?] = [:]
        /// Ranges of segments, by their number, without a readable record.
        var ranges: [(segment: UInt32, range: Range<UInt64>)] = []

        var isEmpty: Bool { contents.isEmpty && ranges.isEmpty }
    }

    private static let intervalSeconds = 5.0
    private static let pauseMaximumSeconds = 300.0
    private static let copyIntervalSeconds = 60.0
    /// So much is copied before the archive is ready; more beside its work.
    private static let startBytesMaximum: UInt64 = 256 << 20
    /// So much is copied while nobody stores.
    private static let exclusiveBytesMaximum: UInt64 = 16 << 20
    private static let roundsMaximum = 20
    private static let waitingHealsMaximum = 10_000

    private let archive: Archive
    private let mirror: Mirror
    private let state = Monitor(State.stopped)
    private let damage = Monitor(Damage())
    private let copyControl = Monitor<(@Sendable (String) throws -> Void)?>(nil)
    // Of the thread alone.
    private nonisolated(unsafe) var attached: MirrorCatchUp?
    /// What there was at the last look.
    private nonisolated(unsafe) var followed = Followed()
    private nonisolated(unsafe) var copyDue: UInt64 = 0
    private nonisolated(unsafe) var pause = intervalSeconds
    private nonisolated(unsafe) var attemptDue: UInt64 = 0
    private nonisolated(unsafe) var owesSettings = false

    init(_ archive: Archive, _ mirror: Mirror) {
        self.archive = archive
        self.mirror = mirror
        let metrics = archive.metrics.all
        metrics.gauge("snimok_mirror_attached", "1 while each instance is stored twice.") { mirror.isAttached ? 1 : 0 }
        metrics.gauge("snimok_mirror_lag_bytes", "Bytes of the archive that the mirror does not have.") {
            Int(clamping: mirror.lagBytes)
        }
        metrics.gauge(
            "snimok_mirror_failures_total", "How often the mirror has failed since the start.", kind: .counter
        ) {
            mirror.failures
        }
        archive.log.reader.observer.notify { [damage] blobID, location in Self.enqueue(damage, blobID, location) }
    }

    /// Copies from time to time what does not follow from the log.
    /// - Parameter body: copies it to the path that it is given, durable when it returns.
    package func copyControl(_ body: @escaping @Sendable (String) throws -> Void) {
        copyControl.withLock { $0 = body }
    }

    /// Attaches a mirror that lacks little, or without which nothing may be stored. One that cannot be had is tried again
    /// by the thread.
    func attachAtStart() {
        do {
            let catchUp = try catchUp(mayCreate: true)
            let position = try position()
            if !mirror.settings.stops, try catchUp.missingBytes(to: position) > Self.startBytesMaximum {
                catchUp.abandon()
                return mirror.note("catching up")
            }
            try attach(catchUp)
        } catch { mirror.note("\(error)") }
        owesSettings = mirror.refusal != nil
    }

    /// Starts the thread.
    func run() throws(SystemError) {
        state.withLock { $0 = .running }
        do {
            try SystemThread(name: "mirror", stackBytes: 1 << 20) { [self] in
                SystemThread.yieldToOthers()
                while wait() { work() }
                work()
                state.update { $0 = .stopped }
            }.detach()
        } catch {
            state.withLock { $0 = .stopped }
            throw error
        }
    }

    /// Ends what is going on. The archive still stores until this returns.
    func stop() {
        archive.log.reader.observer.notify(nil)
        state.update { if $0 == .running { $0 = .stopping } }
        damage.update { _ in }
        state.wait { $0 == .stopped ? true : nil }
    }

    private var isStopping: Bool { state.withLock { $0 == .stopping } }

    /// - Returns: false: the archive is stopping.
    private func wait() -> Bool {
        let deadline = Clock.deadline(seconds: Self.intervalSeconds)
        damage.wait(until: deadline) { damage in damage.isEmpty && !isStopping ? nil : true }
        return !isStopping
    }

    private func work() {
        if mirror.isAttached, let attached { follow(attached) } else { reattach() }
        heal()
    }

    // MARK: Attaching

    private func catchUp(mayCreate: Bool) throws -> MirrorCatchUp {
        try MirrorCatchUp(
            mirror, of: archive.log, mayCreate: mayCreate,
            isWanted: { [archive] blobID, number in archive.isWanted(blobID, number) },
            isStopping: { [weak self] in self?.isStopping ?? true })
    }

    private func position() throws -> LogPosition {
        try archive.committer.exclusively { writer in writer.position }
    }

    private func attach(_ catchUp: MirrorCatchUp) throws {
        do {
            try catchUp.run(to: try position())
            for _ in 0..<Self.roundsMaximum {
                let now = try position()
                let isClose =
                    now.segment == catchUp.reached.segment
                    && now.endOffset - catchUp.reached.endOffset < Self.exclusiveBytesMaximum
                if isClose { break }
                try catchUp.advance(to: now)
            }
            try archive.committer.exclusively { writer throws(ArchiveError) in
                do throws(LogError) { try catchUp.attach(at: writer.position) } catch { throw .log(error) }
            }
        } catch {
            catchUp.abandon()
            throw error
        }
        attached = catchUp
        copyDue = 0
        followed = Followed()
        // What was found damaged while there was nothing to heal it from.
        for version in try archive.readers.withReader({ try $0.damaged() }) { heal(BlobID(version.blobID)) }
    }

    private func reattach() {
        attached = nil
        guard !isStopping, Clock.monotonicNanoseconds() >= attemptDue else { return }
        do {
            // What is missing now may be a volume that is not mounted: no second copy is begun in its place.
            let catchUp = try catchUp(mayCreate: false)
            do {
                mirror.note("catching up")
                try attach(catchUp)
                pause = Self.intervalSeconds
                follow(catchUp)
            } catch {
                // A comparison is work, not to be done again every few seconds.
                pause = min(pause * 2, Self.pauseMaximumSeconds)
                throw error
            }
        } catch {
            mirror.note("\(error)")
            attemptDue = Clock.deadline(seconds: pause)
        }
    }

    // MARK: Following

    private func follow(_ catchUp: MirrorCatchUp) {
        do {
            try mirror.probe()
            if owesSettings {
                try archive.recordSettings()
                owesSettings = false
            }
            let live = Followed(
                segments: Set(try Segment.live(archive.directory)),
                manifest: try? archive.directory.volume.contents(archive.directory.manifest))
            let isDue = Clock.monotonicNanoseconds() >= copyDue || isStopping
            guard live != followed || isDue else { return }
            try catchUp.follow()
            followed = live
            if isDue {
                if let copy = copyControl.withLock({ $0 }) {
                    // The mirror may be where the database's own functions cannot write.
                    let path = "\(archive.directory.path)/control.copy"
                    defer { unlink(path) }
                    try copy(path)
                    try catchUp.copyControl(path)
                }
                copyDue = Clock.deadline(seconds: Self.copyIntervalSeconds)
            }
        } catch let error as ArchiveError {
            Log.error("settings are not written down yet", ["why": "\(error)"])
        } catch {
            if !isStopping { mirror.detach("\(error)") }
        }
    }

    // MARK: Healing

    /// Has a damaged record written anew from the mirror, if that has it whole.
    /// - Parameter location: where it was found damaged; nil: where the catalog has it.
    package func heal(_ blobID: BlobID, at location: RecordLocation? = nil) { Self.enqueue(damage, blobID, location) }

    /// Has records brought back that cannot be read at all.
    /// - Parameter range: of the segment of that number, before the log's end.
    package func restore(_ range: Range<UInt64>, ofSegment number: UInt32) {
        damage.update { damage in
            if damage.ranges.count < Self.waitingHealsMaximum { damage.ranges.append((number, range)) }
        }
    }

    private static func enqueue(_ damage: Monitor<Damage>, _ blobID: BlobID, _ location: RecordLocation?) {
        damage.update { damage in
            if damage.contents.count < waitingHealsMaximum || damage.contents[blobID] != nil {
                damage.contents[blobID] = .some(location)
            }
        }
    }

    private func heal() {
        let waiting = damage.withLock { damage in
            defer { damage = Damage() }
            return damage
        }
        guard !waiting.isEmpty, let reader = mirror.reader else { return }
        let healing = Healing(archive, mirror, reader)
        for (number, range) in waiting.ranges where !isStopping {
            do { try healing.restore(range, ofSegment: number) } catch {
                Log.error(
                    "a part of the log cannot be restored from the mirror",
                    ["segment": "\(number)", "bytes": "\(range)", "why": "\(error)"])
            }
        }
        for (blobID, location) in waiting.contents where !isStopping {
            do { try healing.heal(blobID, at: location) } catch {
                Log.error(
                    "a damaged record cannot be healed from the mirror", ["blob": "\(blobID)", "why": "\(error)"])
            }
            // Looking at it has reported it, too; the next read does so again if it is still bad.
            damage.withLock { $0.contents[blobID] = nil }
        }
    }
}

extension Archive {
    /// Whether the catalog serves an instance out of the large object's file of this number.
    fileprivate func isWanted(_ blobID: BlobID, _ number: UInt64) -> Bool {
        do {
            guard let found = try readers.withReader({ try $0.location(ofBlob: blobID.bytes) }) else {
                return try readers.withReader { try $0.isIncomplete() }
            }
            return try log.reader.record(at: RecordLocation(found.0)).header.largeNumber == number
        } catch {
            // Its file is missing, which is what makes the record unreadable; or nobody can be asked.
            return true
        }
    }
}

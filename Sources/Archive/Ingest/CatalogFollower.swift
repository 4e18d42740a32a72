// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Platform

/// Brings into the catalog what the log has, a little behind the answers. What is in the log is durable and a restart replays
/// it, so nobody who stores need wait for the catalog; and of instances that come one after the other it writes the same pages
/// once instead of once for each (storing with five associations is a fifth faster for it). Who reads never meets a catalog
/// that is behind: `catchUp` comes first.
final class CatalogFollower: Sendable {
    /// How long something may wait for more to come, where nobody asks for it.
    private static let lingerSeconds = 0.025
    /// With so many waiting the next ones wait, too: the catalog is slower than the log. They are one transaction, which is
    /// held in memory: as many new studies of one instance each change 30,000 pages of a large catalog at most.
    private static let waitingMaximum = 2000
    /// Who reads waits so long at most: then for what there is. A catalog whose device hangs holds up nobody for longer.
    private static let readersPatienceSeconds = 2.0
    /// A catalog that cannot be written is tried again so often.
    private static let retrySeconds = 0.2

    private struct Batch: Sendable {
        var events: [CatalogEvent] = []
        var position: CatalogPosition?
        /// The contents of the instances among them.
        var blobs: Set<BlobID> = []
        /// One of them may take away what later ones refer to.
        var hasControl = false

        mutating func append(_ other: Batch) {
            events += other.events
            position = other.position ?? position
            blobs.formUnion(other.blobs)
            hasControl = hasControl || other.hasControl
        }
    }

    private struct State {
        var waiting = Batch()
        /// What the catalog is being told, and may not know yet.
        var applying = Batch()
        /// When what waits is due; nil: nothing waits.
        var due: UInt64?
        /// Sequence numbers that were handed over and applied last.
        var handed: UInt64 = 0
        var applied: UInt64 = 0
        /// Somebody waits for all of it.
        var isWanted = false
        /// Why the catalog could not be written, twice and ever since.
        var problem: CatalogError?
        var isStopping = false
        var isRunning = true

        /// Nobody waits for a catalog that cannot be written.
        var isCaughtUp: Bool { applied == handed || problem != nil }
    }

    private let state = Monitor(State())
    private let catalog: Monitor<CatalogWriter>

    /// - Parameter catalog: the follower's own from here on.
    init(_ catalog: CatalogWriter) throws(SystemError) {
        self.catalog = Monitor(catalog)
        try SystemThread(name: "catalog", stackBytes: 1 << 20) { [self] in
            while let batch = next() { apply(batch) }
            self.catalog.withLock { $0.close() }
            state.update { $0.isRunning = false }
        }.detach()
    }

    // MARK: Who stores

    /// Why nothing comes into the catalog now; nil: all is well. What is in the log comes into it later, or at the next start.
    var problem: ArchiveError? { state.withLock { $0.problem }.map(Self.refusal) }

    private static func refusal(_ problem: CatalogError) -> ArchiveError {
        // It passes, so who stores may come again.
        problem.kind == .full ? .outOfSpace : .unavailable("the catalog cannot be written: \(problem)")
    }

    /// Throws unless what is stored next may be held against the catalog.
    func checkReady() throws(ArchiveError) {
        let (problem, hasControl) = state.withLock { ($0.problem, $0.waiting.hasControl || $0.applying.hasControl) }
        if let problem { throw Self.refusal(problem) }
        if hasControl { try checkCaughtUp() }
    }

    /// Whether a content is on its way into the catalog.
    func isWaiting(_ blobID: BlobID) -> Bool {
        state.withLock { $0.waiting.blobs.contains(blobID) || $0.applying.blobs.contains(blobID) }
    }

    /// Takes what was appended to the log, in its order; waits while too much is waiting already.
    /// - Parameters:
    ///   - blobs: contents of which the log has a copy now.
    ///   - hasControl: whether it is anything but instances.
    func hand(
        _ events: [CatalogEvent], _ blobs: some Sequence<BlobID>, hasControl: Bool = false, position: CatalogPosition
    ) {
        state.wait { $0.waiting.events.count < Self.waitingMaximum || $0.isCaughtUp ? true : nil }
        let batch = Batch(events: events, position: position, blobs: Set(blobs), hasControl: hasControl)
        let isFirst = state.withLock { state in
            state.waiting.append(batch)
            state.handed = position.sequence
            guard state.due == nil else { return state.waiting.events.count >= Self.waitingMaximum }
            state.due = Clock.deadline(seconds: Self.lingerSeconds)
            return true
        }
        if isFirst { state.update { _ in } }
    }

    // MARK: Who reads

    /// Waits until the catalog has all that was handed over before, unless it cannot be written, or not soon.
    func catchUp() {
        guard let target = state.withLock({ $0.isCaughtUp ? nil : $0.handed }) else { return }
        hurry(target)
        state.wait(until: Clock.deadline(seconds: Self.readersPatienceSeconds)) {
            $0.applied >= target || $0.isCaughtUp ? true : nil
        }
    }

    /// Has the thread begin at once, if it has not with that.
    private func hurry(_ target: UInt64) {
        state.update { state in
            if state.due != nil, state.applying.position?.sequence ?? state.applied < target {
                state.isWanted = true
            }
        }
    }

    /// Lends the writer of a catalog that has everything. Nothing may be handed over meanwhile.
    func withCatalog<Result>(
        _ body: (CatalogWriter) throws(ArchiveError) -> Result
    ) throws(ArchiveError) -> Result {
        try checkCaughtUp()
        return try catalog.withLock { catalog throws(ArchiveError) in try body(catalog) }
    }

    /// Waits until the catalog has all that was handed over before, however long; throws if it cannot have it.
    func checkCaughtUp() throws(ArchiveError) {
        let target = state.withLock { $0.handed }
        hurry(target)
        let problem = state.wait { state -> CatalogError?? in
            if state.applied >= target { return .some(nil) }
            return state.problem.map { .some($0) }
        }
        if let problem = problem ?? nil { throw Self.refusal(problem) }
    }

    /// Brings in what waits, and closes the catalog. Nothing may be handed over any more.
    func stop() {
        state.update { $0.isStopping = true }
        state.wait { $0.isRunning ? nil : true }
    }

    // MARK: The thread

    private enum Step {
        case apply(Batch)
        case wait(until: UInt64)
        case end
    }

    private func next() -> Batch? {
        var due: UInt64?
        while true {
            let step = state.wait(until: due) { Self.step(&$0, knownDue: due) }
            switch step {
            case .apply(let batch):
                // Who waits because so many were waiting goes on.
                if batch.events.count >= Self.waitingMaximum { state.update { _ in } }
                return batch
            case .wait(let until): due = until
            case .end: return nil
            // It is due now.
            case nil: due = nil
            }
        }
    }

    /// - Returns: nil: there is nothing to do before that is due.
    private static func step(_ state: inout State, knownDue: UInt64?) -> Step? {
        // What cannot be brought in now, the next start does.
        if state.isStopping, state.due == nil || state.problem != nil { return .end }
        guard let due = state.due else { return nil }
        let isWanted = state.isWanted || state.isStopping || state.waiting.events.count >= waitingMaximum
        if isWanted && state.problem == nil || Clock.monotonicNanoseconds() >= due { return .apply(take(&state)) }
        return due == knownDue ? nil : .wait(until: due)
    }

    private static func take(_ state: inout State) -> Batch {
        state.applying = state.waiting
        state.waiting = Batch()
        state.due = nil
        state.isWanted = false
        return state.applying
    }

    private func apply(_ batch: Batch) {
        do throws(CatalogError) {
            // A single fault is over at the second time, and nobody has seen it.
            do throws(CatalogError) { try write(batch) } catch {
                guard problem == nil else { throw error }
                Log.warning("catalog transaction failed; once more", ["why": "\(error)"])
                try write(batch)
            }
        } catch {
            return failed(error)
        }
        let wasFailing = state.update { state in
            defer { state.problem = nil }
            state.applied = batch.position!.sequence
            state.applying = Batch()
            return state.problem != nil
        }
        if wasFailing { Log.info("storing resumes: the catalog has what the log has") }
    }

    private func write(_ batch: Batch) throws(CatalogError) {
        try catalog.withLock { catalog throws(CatalogError) in
            try catalog.apply(batch.events, position: batch.position!)
        }
    }

    private func failed(_ error: CatalogError) {
        let isNew = state.update { state in
            defer { state.problem = error }
            state.applying.append(state.waiting)
            (state.waiting, state.applying) = (state.applying, Batch())
            state.due = Clock.deadline(seconds: Self.retrySeconds)
            return state.problem == nil
        }
        if isNew {
            Log.error(
                "storing stops until the catalog can be written again; reading goes on", ["why": "\(error)"])
        }
    }
}

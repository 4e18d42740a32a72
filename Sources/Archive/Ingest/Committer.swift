// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Platform

/// A record that waits for the group commit.
struct PendingStore: @unchecked Sendable {
    enum Content: Sendable {
        case instance(CatalogInstance)
        /// A tombstone or an annotation; it gives what the catalog is told about it.
        case control(@Sendable (RecordHeader) -> CatalogEvent)
    }

    var record: NewRecord
    var content: Content
    /// The large object's own file, already synced.
    let file: LargeObjectFile?
    let completion: @Sendable (Result<StoreOutcome, ArchiveError>) -> Void

    var isControl: Bool {
        if case .control = content { true } else { false }
    }

    /// Memory held until the commit.
    var heldBytes: Int { record.buffer?.count ?? 0 }
}

/// The group commit: all finished instances of all associations are written with one gathered write, synced once, and only
/// then answered. While one batch is on its way, the next one gathers. The catalog follows (`CatalogFollower`).
///
/// One batch at a time; a thread of its own does them, but an instance that comes alone is committed by the thread that
/// brings it: waking another and being woken by it costs as much as its sync.
final class Committer: Sendable {
    /// Instances that may wait with their bytes in memory; beyond it an association waits with its next one.
    private static let waitingBytesMaximum = 256 << 20
    private static let batchBytesMaximum = 64 << 20
    private static let batchMaximum = 1000

    private struct Queue {
        var waiting: [PendingStore] = []
        var waitingBytes = 0
        /// Somebody is at the log.
        var isCommitting = false
        /// Who wait to be alone there.
        var outsiders = 0
        var isStopping = false
        var isRunning = true
    }

    private let queue = Monitor(Queue())
    private let stopped = Monitor<String?>(nil)
    private let metrics: ArchiveMetrics
    private let recent: RecentRecords?
    // Touched only by whoever has set `isCommitting`.
    private nonisolated(unsafe) let writer: LogWriter
    private let follower: CatalogFollower
    private let space: FreeSpace
    private let readers: CatalogReaders

    /// - Parameters:
    ///   - writer: the committer's own from here on.
    ///   - readers: who do not wait for what is on its way into the catalog.
    init(
        _ writer: LogWriter, _ follower: CatalogFollower, _ readers: CatalogReaders, _ space: FreeSpace,
        recent: RecentRecords?, metrics: ArchiveMetrics
    ) {
        self.recent = recent
        self.writer = writer
        self.follower = follower
        self.readers = readers
        self.space = space
        self.metrics = metrics
    }

    /// Why nothing is stored now; nil while all is well.
    var refusal: ArchiveError? { failure ?? follower.problem }

    /// The same in words. A full disk is no failure: it passes.
    var stopReason: String? {
        switch refusal {
        case .failed(let reason), .unavailable(let reason): reason
        default: nil
        }
    }

    /// Why nothing is stored until the next start; nil while all is well.
    private var failure: ArchiveError? { stopped.withLock { $0 }.map { .failed($0) } }

    /// Starts the thread.
    func run() throws(SystemError) {
        try SystemThread(name: "commit", stackBytes: 1 << 20) { [self] in
            while let batch = next() { commit(batch, isAlone: false) }
            follower.stop()
            queue.update { $0.isRunning = false }
        }.detach()
    }

    /// Hands over an instance; waits while too much is waiting already.
    /// - Parameter mayCommit: the calling thread has nothing better to do than to wait for this instance.
    func submit(_ store: PendingStore, mayCommit: Bool) {
        queue.wait { queue in queue.waitingBytes < Self.waitingBytesMaximum ? true : nil }
        let isAlone = queue.withLock { queue in
            queue.waitingBytes += store.heldBytes
            guard mayCommit, queue.waiting.isEmpty, !queue.isCommitting, queue.outsiders == 0, !queue.isStopping else {
                queue.waiting.append(store)
                return false
            }
            queue.isCommitting = true
            return true
        }
        if isAlone { commit([store], isAlone: true) } else { queue.update { _ in } }
    }

    /// Commits a record and waits until that is done.
    func commit(
        _ record: NewRecord, _ content: PendingStore.Content, file: LargeObjectFile? = nil
    ) throws(ArchiveError) {
        let result = Monitor<Result<StoreOutcome, ArchiveError>?>(nil)
        submit(
            PendingStore(
                record: record, content: content, file: file, completion: { outcome in result.update { $0 = outcome } }),
            mayCommit: true)
        _ = try result.wait { $0 }!.get()
    }

    /// Runs `body` with a catalog that has all that the log has, while nothing is appended to that.
    func withCatalog<Result>(
        _ body: (CatalogWriter) throws(ArchiveError) -> Result
    ) throws(ArchiveError) -> Result {
        try exclusively { _ throws(ArchiveError) in try follower.withCatalog(body) }
    }

    /// Throws unless the catalog has all that was answered: for who decides by what it does not find there.
    func checkCatalog() throws(ArchiveError) { try follower.checkCaughtUp() }

    /// Runs `body` while nobody else is at the log.
    func exclusively<Result>(_ body: (LogWriter) throws(ArchiveError) -> Result) throws(ArchiveError) -> Result {
        queue.withLock { $0.outsiders += 1 }
        queue.wait { queue -> Bool? in
            guard !queue.isCommitting else { return nil }
            queue.isCommitting = true
            queue.outsiders -= 1
            return true
        }
        defer { queue.update { $0.isCommitting = false } }
        if let failure { throw failure }
        return try body(writer)
    }

    /// Commits what waits, then ends.
    func stop() {
        queue.update { $0.isStopping = true }
        queue.wait { $0.isRunning ? nil : true }
    }

    private func next() -> [PendingStore]? {
        queue.wait { queue -> [PendingStore]?? in
            guard !queue.isCommitting else { return nil }
            guard !queue.waiting.isEmpty else { return queue.isStopping ? .some(nil) : nil }
            let count = Self.batchCount(queue.waiting)
            let batch = Array(queue.waiting.prefix(count))
            queue.waiting.removeFirst(count)
            queue.isCommitting = true
            return .some(batch)
        } ?? nil
    }

    /// A control record is a batch of its own: where one ends what is there of some content, the same content behind it must
    /// not be taken for a sighting of that.
    private static func batchCount(_ waiting: [PendingStore]) -> Int {
        if waiting[0].isControl { return 1 }
        var bytes = 0
        return waiting.prefix(batchMaximum).prefix { store in
            defer { bytes += store.heldBytes }
            return bytes < batchBytesMaximum && !store.isControl
        }.count
    }

    // MARK: One batch

    private func commit(_ batch: [PendingStore], isAlone: Bool) {
        let result: Result<[StoreOutcome], ArchiveError>
        do { result = .success(try write(batch)) } catch { result = .failure(error) }
        let isQuiet = queue.withLock { queue in
            queue.waitingBytes -= batch.reduce(0) { $0 + $1.heldBytes }
            queue.isCommitting = false
            return isAlone && queue.waiting.isEmpty && queue.outsiders == 0 && !queue.isStopping
        }
        // Where nobody waits for anything, nobody is woken.
        if !isQuiet { queue.update { _ in } }
        switch result {
        case .success(let outcomes):
            for (store, outcome) in zip(batch, outcomes) { store.completion(.success(outcome)) }
        case .failure(let error):
            Log.error("batch not stored", ["instances": "\(batch.count)", "why": "\(error)"])
            for store in batch { store.completion(.failure(error)) }
        }
    }

    private func write(_ batch: [PendingStore]) throws(ArchiveError) -> [StoreOutcome] {
        if let failure { throw failure }
        try follower.checkReady()
        var records: [NewRecord] = []
        var outcomes: [StoreOutcome] = []
        var inBatch: Set<BlobID> = []
        for store in batch {
            guard case .instance = store.content else {
                records.append(store.record)
                outcomes.append(.stored)
                continue
            }
            let isKnown = try isKnown(store.record, inBatch)
            inBatch.insert(store.record.blobID)
            records.append(isKnown ? store.record.asSighting : store.record)
            outcomes.append(isKnown ? .alreadyThere : .stored)
        }
        do { try write(records, of: batch) } catch {
            if error.isFinal {
                stop("\(error)")
                // Whether its record stands in the log is for the next start to find out.
                for store in batch { store.file?.leave() }
            }
            throw error
        }
        for (store, outcome) in zip(batch, outcomes) where outcome == .stored { store.file?.keep(store.record.blobID) }
        count(batch, outcomes)
        // What somebody has the archive do is done when it is answered; who repairs looks whether it is.
        if batch[0].isControl { try follower.checkCaughtUp() }
        if batch.contains(where: { $0.record.flags.contains(.heals) }) { follower.catchUp() }
        return outcomes
    }

    private func write(_ records: [NewRecord], of batch: [PendingStore]) throws(ArchiveError) {
        let placed: [(RecordHeader, RecordLocation)]
        do { placed = try writer.append(records) } catch {
            if error.isUnmirrored { throw .unavailable("\(error)") }
            guard error.isOutOfSpace, writer.stopReason == nil else { throw .log(error) }
            space.foundNone()
            throw .outOfSpace
        }
        let events = zip(batch, placed).map { store, place in Self.event(store, place) }
        let position = CatalogPosition(
            sequence: writer.position.sequence, writer: BlobLog.writerID, segment: writer.position.segment,
            endOffset: writer.position.endOffset)
        let isControl = batch[0].isControl
        follower.hand(
            events, isControl ? [] : placed.map(\.0.blobID), hasControl: isControl, position: position)
        recent?.stored(placed.lazy.map(\.1))
    }

    /// Whether the content is in the archive. An association has looked before and verified what it found, so what is
    /// found here was stored in the meantime.
    private func isKnown(_ record: NewRecord, _ inBatch: Set<BlobID>) throws(ArchiveError) -> Bool {
        if inBatch.contains(record.blobID) { return true }
        if record.flags.contains(.heals) { return false }
        // In this order: what has come into the catalog meanwhile is found there.
        if follower.isWaiting(record.blobID) { return true }
        do { return try readers.withReader { try $0.location(ofBlob: record.blobID.bytes) } != nil } catch {
            throw Archive.wrap(error)
        }
    }

    private static func event(_ store: PendingStore, _ place: (RecordHeader, RecordLocation)) -> CatalogEvent {
        let (header, location) = place
        switch store.content {
        case .control(let event): return event(header)
        case .instance(let entry) where header.kind == .sighting:
            return .sighting(
                CatalogSighting(
                    sequence: header.sequence, receivedAtNanoseconds: header.receivedAtNanoseconds,
                    source: entry.source, blobID: header.blobID.bytes))
        case .instance(var entry):
            entry.sequence = header.sequence
            entry.location = CatalogLocation(location)
            return .instance(entry)
        }
    }

    /// Nothing is stored from here on.
    func stop(_ reason: String) {
        stopped.update { $0 = $0 ?? reason }
        Log.error("storing stops until the next start; reading goes on", ["why": reason])
    }

    private func count(_ batch: [PendingStore], _ outcomes: [StoreOutcome]) {
        metrics.batches.add()
        for (store, outcome) in zip(batch, outcomes) {
            guard case .instance = store.content else { continue }
            if outcome == .stored {
                metrics.stored.add()
                metrics.storedBytes.add(Int(store.record.dataSetLength))
            } else {
                metrics.alreadyThere.add()
            }
        }
    }
}

extension NewRecord {
    /// The record that says that this content came again.
    fileprivate var asSighting: NewRecord {
        NewRecord(
            kind: .sighting, receivedAtNanoseconds: receivedAtNanoseconds, blobID: blobID, provenance: provenance)
    }
}

// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Platform

/// An instance that waits for the group commit.
struct PendingStore: @unchecked Sendable {
    var record: NewRecord
    var entry: CatalogInstance
    /// The large object's own file, already synced.
    let file: LargeObjectFile?
    let completion: @Sendable (Result<StoreOutcome, ArchiveError>) -> Void

    /// Memory held until the commit.
    var heldBytes: Int { record.buffer?.count ?? 0 }
}

/// The group commit: one thread takes all finished instances of all associations, writes them with one gathered write,
/// syncs once, brings the catalog up to date in one transaction, and only then answers them all. While it syncs, the
/// next batch gathers.
final class Committer: Sendable {
    /// Instances that may wait with their bytes in memory; beyond it an association waits with its next one.
    private static let waitingBytesMaximum = 256 << 20
    private static let batchBytesMaximum = 64 << 20
    private static let batchMaximum = 1000

    private struct Queue {
        var waiting: [PendingStore] = []
        var waitingBytes = 0
        var isStopping = false
        var isRunning = true
    }

    private let queue = Monitor(Queue())
    private let stopped = Monitor<String?>(nil)
    private let metrics: ArchiveMetrics

    init(metrics: ArchiveMetrics) { self.metrics = metrics }

    /// Why nothing is stored any more; nil while all is well.
    var stopReason: String? { stopped.withLock { $0 } }

    /// Starts the thread; log and catalog writer are its own from here on.
    func run(_ writer: LogWriter, _ catalog: CatalogWriter) throws(SystemError) {
        nonisolated(unsafe) let writer = writer
        nonisolated(unsafe) let catalog = catalog
        try SystemThread(name: "commit", stackBytes: 1 << 20) { [self] in
            while let batch = next() { commit(batch, writer, catalog) }
            catalog.close()
            queue.update { $0.isRunning = false }
        }.detach()
    }

    /// Hands over an instance; waits while too much is waiting already.
    func submit(_ store: PendingStore) {
        queue.wait { queue in queue.waitingBytes < Self.waitingBytesMaximum ? true : nil }
        queue.update { queue in
            queue.waiting.append(store)
            queue.waitingBytes += store.heldBytes
        }
    }

    /// Commits what waits, then ends.
    func stop() {
        queue.update { $0.isStopping = true }
        queue.wait { $0.isRunning ? nil : true }
    }

    private func next() -> [PendingStore]? {
        queue.wait { queue in
            guard !queue.waiting.isEmpty else { return queue.isStopping ? .some(nil) : nil }
            var bytes = 0
            let count = queue.waiting.prefix(Self.batchMaximum).prefix { store in
                defer { bytes += store.heldBytes }
                return bytes < Self.batchBytesMaximum
            }.count
            let batch = Array(queue.waiting.prefix(count))
            queue.waiting.removeFirst(count)
            return .some(batch)
        } ?? nil
    }

    // MARK: One batch

    private func commit(_ batch: [PendingStore], _ writer: LogWriter, _ catalog: CatalogWriter) {
        let result: Result<[StoreOutcome], ArchiveError>
        do { result = .success(try write(batch, writer, catalog)) } catch { result = .failure(error) }
        queue.update { $0.waitingBytes -= batch.reduce(0) { $0 + $1.heldBytes } }
        switch result {
        case .success(let outcomes):
            for (store, outcome) in zip(batch, outcomes) { store.completion(.success(outcome)) }
        case .failure(let error):
            Log.error("batch not stored", ["instances": "\(batch.count)", "why": "\(error)"])
            for store in batch { store.completion(.failure(error)) }
        }
    }

    private func write(
        _ batch: [PendingStore], _ writer: LogWriter, _ catalog: CatalogWriter
    ) throws(ArchiveError) -> [StoreOutcome] {
        if let reason = stopReason { throw .failed(reason) }
        var records: [NewRecord] = []
        var outcomes: [StoreOutcome] = []
        var inBatch: Set<BlobID> = []
        for store in batch {
            let isKnown = try isKnown(store.record, inBatch, catalog)
            inBatch.insert(store.record.blobID)
            records.append(isKnown ? store.record.asSighting : store.record)
            outcomes.append(isKnown ? .alreadyThere : .stored)
        }
        let placed: [(RecordHeader, RecordLocation)]
        do { placed = try writer.append(records) } catch {
            if writer.stopReason != nil { stop("\(error)") }
            // Whether its record stands in the log is for the next start to find out.
            for store in batch { store.file?.leave() }
            throw error.isOutOfSpace ? .outOfSpace : .log(error)
        }
        let events = zip(batch, placed).map { store, place in Self.event(store, place) }
        let position = CatalogPosition(
            sequence: writer.position.sequence, writer: BlobLog.writerID, segment: writer.position.segment,
            endOffset: writer.position.endOffset)
        do { try catalog.apply(events, position: position) } catch {
            // The log is ahead of the catalog now; replay at the next start cures it.
            for store in batch { store.file?.leave() }
            stop("catalog: \(error)")
            throw .catalog(error)
        }
        for (store, outcome) in zip(batch, outcomes) where outcome == .stored { store.file?.keep(store.record.blobID) }
        count(batch, outcomes)
        return outcomes
    }

    /// Whether the content is in the archive. An association has looked before and verified what it found, so what is
    /// found here was stored in the meantime.
    private func isKnown(
        _ record: NewRecord, _ inBatch: Set<BlobID>, _ catalog: CatalogWriter
    ) throws(ArchiveError) -> Bool {
        if inBatch.contains(record.blobID) { return true }
        if record.flags.contains(.heals) { return false }
        do { return try catalog.location(ofBlob: record.blobID.bytes) != nil } catch { throw .catalog(error) }
    }

    private static func event(_ store: PendingStore, _ place: (RecordHeader, RecordLocation)) -> CatalogEvent {
        let (header, location) = place
        if header.kind == .sighting {
            return .sighting(
                CatalogSighting(
                    sequence: header.sequence, receivedAtNanoseconds: header.receivedAtNanoseconds,
                    source: store.entry.source, blobID: header.blobID.bytes))
        }
        var entry = store.entry
        entry.sequence = header.sequence
        entry.location = CatalogLocation(location)
        return .instance(entry)
    }

    private func stop(_ reason: String) {
        stopped.update { $0 = $0 ?? reason }
        Log.error("storing stops until the next start; reading goes on", ["why": reason])
    }

    private func count(_ batch: [PendingStore], _ outcomes: [StoreOutcome]) {
        metrics.batches.add()
        for (store, outcome) in zip(batch, outcomes) {
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

// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Dispatch
import Platform

/// Brings the catalog up to the log: after a stop from where it had come, after its loss from the first record.
///
/// While the next batch of records is found and made into entries, on all processors, the last one is applied: of the
/// processor time of a rebuild two thirds go into reading headers.
final class Replay: @unchecked Sendable {
    private static let batchMaximum = 5000

    private struct Found {
        var records: [StoredRecord] = []
        var position = LogPosition.start
    }

    private struct Batch {
        let events: [CatalogEvent]
        let position: CatalogPosition

        init(_ found: Found) {
            events = Replay.events(of: found.records)
            position = CatalogPosition(
                sequence: found.position.sequence, writer: BlobLog.writerID, segment: found.position.segment,
                endOffset: found.position.endOffset)
        }
    }

    private struct State {
        var waiting: Batch?
        var isEnding = false
        var hasEnded = true
        var failure: ArchiveError?
    }

    private let log: BlobLog
    private let catalog: CatalogWriter
    private let state = Monitor(State())

    init(_ log: BlobLog, _ catalog: CatalogWriter) {
        self.log = log
        self.catalog = catalog
    }

    func run() throws(ArchiveError) -> (LogWriter, RecoveryReport) {
        let start =
            catalog.position.map {
                LogPosition(sequence: $0.sequence, segment: $0.segment, endOffset: $0.endOffset)
            } ?? .start
        var found = Found()
        do {
            defer { end() }
            let result = try log.recover(from: start) { record throws(LogError) in
                found.records.append(record)
                found.position = LogPosition(
                    sequence: record.header.sequence, segment: record.location.segment,
                    endOffset: record.location.offset + record.location.length)
                guard found.records.count >= Self.batchMaximum else { return }
                handOver(Batch(found))
                found = Found()
            }
            end()
            if let failure = state.withLock({ $0.failure }) { throw failure }
            // The rest, and a short replay altogether, needs no other thread.
            try apply(Batch(found))
            try catalog.endReplay()
            for gap in result.report.gaps {
                Log.error("damage in the log", ["segment": "\(gap.segment)", "bytes": "\(gap.range)"])
            }
            return (result.writer, result.report)
        } catch {
            throw Archive.wrap(error)
        }
    }

    // MARK: The other thread

    /// Waits until the batch before is being applied. After a failure nothing more is.
    private func handOver(_ batch: Batch) {
        let isFirst = state.withLock { state in
            defer { state.hasEnded = false }
            return state.hasEnded
        }
        if isFirst { startApplying() }
        state.wait { $0.waiting == nil || $0.failure != nil ? true : nil }
        state.update { $0.waiting = $0.failure == nil ? batch : nil }
    }

    private func startApplying() {
        do {
            try SystemThread(name: "replay", stackBytes: 1 << 20) { [self] in
                catalog.beginReplay()
                while let batch = next() {
                    do throws(ArchiveError) { try apply(batch) } catch { state.update { $0.failure = error } }
                }
                state.update { $0.hasEnded = true }
            }.detach()
        } catch {
            state.update { state in
                state.failure = .failed("\(error)")
                state.hasEnded = true
            }
        }
    }

    private func next() -> Batch? {
        let next: Batch?? = state.wait { state in
            if let batch = state.waiting { return .some(batch) }
            return state.isEnding || state.failure != nil ? .some(nil) : nil
        }
        state.update { $0.waiting = nil }
        return next ?? nil
    }

    /// Waits until all that was handed over is applied.
    private func end() {
        state.update { $0.isEnding = true }
        state.wait { $0.hasEnded ? true : nil }
    }

    // MARK: A batch

    private func apply(_ batch: Batch) throws(ArchiveError) {
        guard !batch.events.isEmpty else { return }
        do { try catalog.apply(batch.events, position: batch.position) } catch { throw .catalog(error) }
    }

    private static func events(of records: [StoredRecord]) -> [CatalogEvent] {
        let pieceLength = 100
        let pieces = (records.count + pieceLength - 1) / pieceLength
        var made = [[CatalogEvent]](repeating: [], count: pieces)
        made.withUnsafeMutableBufferPointer { made in
            nonisolated(unsafe) let made = made
            DispatchQueue.concurrentPerform(iterations: pieces) { piece in
                let from = piece * pieceLength
                made[piece] = records[from..<min(from + pieceLength, records.count)].map(event)
            }
        }
        return made.flatMap { $0 }
    }

    /// A record whose header is readable but whose content is not: it was acknowledged, so the catalog keeps its place
    /// in the order, without being able to say what it was.
    private static func event(of record: StoredRecord) -> CatalogEvent {
        do { return try CatalogEntries.event(of: record) } catch {
            Log.error("record cannot be catalogued", ["sequence": "\(record.header.sequence)", "why": "\(error)"])
            return .other(sequence: record.header.sequence)
        }
    }
}

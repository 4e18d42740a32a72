// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Dispatch
import Platform

/// Brings the catalog up to the log: after a stop from where it had come, after its loss from the first record.
///
/// Records are found one behind the other, which waits for the device; their headers are read on all processors; events are
/// applied by one thread. All three go on at the same time, each with another batch.
final class Replay: @unchecked Sendable {
    private static let batchMaximum = 2000
    /// Each holds its file open until its header was read.
    private static let largeMaximum = 50

    private struct Found {
        var records: [StoredRecord] = []
        var largeCount = 0
        var position = LogPosition.start
    }

    private struct Batch: Sendable {
        let events: [CatalogEvent]
        let position: CatalogPosition

        init(_ found: Found, _ events: ([StoredRecord]) -> [CatalogEvent]) {
            self.events = events(found.records)
            position = CatalogPosition(
                sequence: found.position.sequence, writer: BlobLog.writerID, segment: found.position.segment,
                endOffset: found.position.endOffset)
        }
    }

    private let log: BlobLog
    private let catalog: CatalogWriter
    private let start: LogPosition
    private let sameContent: SameContent
    /// Whether there is something in the log that the catalog does not know of.
    private let isIncomplete = Monitor(false)

    init(_ log: BlobLog, _ catalog: CatalogWriter) {
        self.log = log
        self.catalog = catalog
        start =
            catalog.position.map {
                LogPosition(sequence: $0.sequence, segment: $0.segment, endOffset: $0.endOffset)
            } ?? .start
        sameContent = SameContent(log, after: start)
    }

    func run() throws(ArchiveError) -> (LogWriter, RecoveryReport) {
        let applying = Conveyor<Batch>("replay") { [self] batch throws(ArchiveError) in
            catalog.beginReplay()
            try apply(batch)
        }
        let reading = Conveyor<Found>("replay-headers") { [self] found in applying.hand(Batch(found, events)) }
        var found = Found()
        do {
            defer {
                try? reading.end()
                try? applying.end()
                log.recoveryMirror.close()
            }
            let result = try log.recover(from: start) { record throws(LogError) in
                found.records.append(record)
                if record.header.kind == .largeInstance { found.largeCount += 1 }
                found.position = LogPosition(
                    sequence: record.header.sequence, segment: record.location.segment,
                    endOffset: record.location.offset + record.location.length)
                guard found.records.count >= Self.batchMaximum || found.largeCount >= Self.largeMaximum else { return }
                reading.hand(found)
                found = Found()
            }
            try reading.end()
            try applying.end()
            // The rest, and a short replay altogether, needs no other thread.
            try apply(Batch(found, events))
            try catalog.endReplay()
            if !result.report.gaps.isEmpty || isIncomplete.withLock({ $0 }) { try catalog.noteIncomplete() }
            for gap in result.report.gaps {
                Log.error("damage in the log", ["segment": "\(gap.segment)", "bytes": "\(gap.range)"])
            }
            return (result.writer, result.report)
        } catch {
            throw Archive.wrap(error)
        }
    }

    private func apply(_ batch: Batch) throws(ArchiveError) {
        guard !batch.events.isEmpty else { return }
        do { try catalog.apply(batch.events, position: batch.position) } catch { throw .catalog(error) }
    }

    private func events(of records: [StoredRecord]) -> [CatalogEvent] {
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

    private func event(of record: StoredRecord) -> CatalogEvent {
        do {
            let event = try CatalogEntries.event(of: record)
            let isLeftOver = record.provenance[.annotationName] == ControlRecord.replaced
            return isLeftOver ? eventOfSameContent(as: record) ?? event : event
        } catch {
            if let event = eventOfSameContent(as: record) { return event }
            isIncomplete.withLock { $0 = true }
            // It was acknowledged, so the catalog keeps its place in the order, without being able to say what it was.
            Log.error("record cannot be catalogued", ["sequence": "\(record.header.sequence)", "why": "\(error)"])
            return .other(sequence: record.header.sequence)
        }
    }

    private func eventOfSameContent(as record: StoredRecord) -> CatalogEvent? {
        sameContent.first(for: record) { try? .instance(CatalogEntries.instance(record, content: $0)) }
    }
}

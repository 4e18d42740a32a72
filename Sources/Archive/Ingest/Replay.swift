// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Platform

/// Brings the catalog up to the log: after a stop from where it had come, after its loss from the first record.
struct Replay {
    private static let batchMaximum = 2000
    private let log: BlobLog
    private let catalog: CatalogWriter

    init(_ log: BlobLog, _ catalog: CatalogWriter) {
        self.log = log
        self.catalog = catalog
    }

    func run() throws(ArchiveError) -> (LogWriter, RecoveryReport) {
        var events: [CatalogEvent] = []
        var position =
            catalog.position.map {
                LogPosition(sequence: $0.sequence, segment: $0.segment, endOffset: $0.endOffset)
            } ?? .start
        func flush() throws(ArchiveError) {
            guard !events.isEmpty else { return }
            let reached = CatalogPosition(
                sequence: position.sequence, writer: BlobLog.writerID, segment: position.segment,
                endOffset: position.endOffset)
            do { try catalog.apply(events, position: reached) } catch { throw .catalog(error) }
            events.removeAll(keepingCapacity: true)
        }
        var failure: ArchiveError?
        do {
            let result = try log.recover(from: position) { record throws(LogError) in
                guard failure == nil else { return }
                events.append(event(of: record))
                position = LogPosition(
                    sequence: record.header.sequence, segment: record.location.segment,
                    endOffset: record.location.offset + record.location.length)
                if events.count >= Self.batchMaximum {
                    do throws(ArchiveError) { try flush() } catch { failure = error }
                }
            }
            if let failure { throw failure }
            try flush()
            for gap in result.report.gaps {
                Log.error("damage in the log", ["segment": "\(gap.segment)", "bytes": "\(gap.range)"])
            }
            return (result.writer, result.report)
        } catch {
            throw Archive.wrap(error)
        }
    }

    /// A record whose header is readable but whose content is not: it was acknowledged, so the catalog keeps its place
    /// in the order, without being able to say what it was.
    private func event(of record: StoredRecord) -> CatalogEvent {
        do { return try CatalogEntries.event(of: record) } catch {
            Log.error("record cannot be catalogued", ["sequence": "\(record.header.sequence)", "why": "\(error)"])
            return .other(sequence: record.header.sequence)
        }
    }
}

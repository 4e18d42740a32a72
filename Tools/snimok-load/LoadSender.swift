// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import DIMSE
import Platform
import Transport

/// One association's share of the work, on a thread of its own.
final class LoadSender {
    private let job: LoadJob
    private let record: LoadRecord
    /// Sizes of instances not yet answered.
    private var sizes: [String: Int] = [:]

    init(_ job: LoadJob, _ record: LoadRecord) {
        self.job = job
        self.record = record
    }

    /// Sends all of `numbers`. When the association breaks, the rest of them stays unsent: a load generator that hid
    /// that by sending anew would measure something else.
    ///
    /// - Parameter schedule: when each is due; nil: as soon as the archive takes it.
    func run(_ numbers: Range<Int>, to endpoint: Endpoint, _ options: LoadOptions, schedule: LoadSchedule?) {
        let sender = StoreSender(
            endpoint, tls: options.tls, callingAETitle: options.calling, calledAETitle: options.called,
            window: options.window
        ) { [self] answer in take(answer) }
        let cursor = job.makeCursor()
        do {
            for number in numbers { try send(number, cursor, sender, due: schedule?.due(number - numbers.lowerBound)) }
            try sender.finish()
        } catch { record.complain("\(error)") }
    }

    private func send(_ number: Int, _ cursor: any LoadCursor, _ sender: StoreSender, due: UInt64?) throws {
        guard let instance = try cursor.select(number) else { return record.complain("not a DICOM file") }
        sizes[instance.sopInstanceUID] = cursor.dataSetBytes
        let isTaken = try sender.send(instance, due: due) { send throws(TransportError) in
            try cursor.forEachPiece(onError: { .system($0) }) { bytes, isLast throws(TransportError) in
                try send(bytes, isLast)
            }
        }
        if !isTaken {
            sizes[instance.sopInstanceUID] = nil
            record.complain("presentation context not accepted")
        }
    }

    private func take(_ answer: StoreSender.Answer) {
        let bytes = sizes.removeValue(forKey: answer.sopInstanceUID) ?? 0
        // Stored with a warning is stored.
        guard answer.status == .success || answer.status.isWarning else {
            return record.complain(
                "status \(String(answer.status.rawValue, radix: 16, uppercase: true)) \(answer.comment)")
        }
        do { try record.acknowledge(answer, bytes: bytes) } catch { record.complain("\(error)") }
    }
}

/// When an association's instances are due, at a rate that all of them have together: the clock decides, not the
/// archive, so that an instance that had to wait for a slow one before it counts its waiting too.
struct LoadSchedule {
    private let start: UInt64
    private let intervalNanoseconds: Double

    /// - Parameter index: of the association, one of `associations`; they take turns.
    init(start: UInt64, ratePerSecond: Int, index: Int, of associations: Int) {
        intervalNanoseconds = 1e9 * Double(associations) / Double(ratePerSecond)
        self.start = start + UInt64(intervalNanoseconds * Double(index) / Double(associations))
    }

    func due(_ number: Int) -> UInt64 { start + UInt64(intervalNanoseconds * Double(number)) }
}

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
    func run(_ numbers: Range<Int>, to endpoint: Endpoint, _ options: LoadOptions) {
        let sender = StoreSender(
            endpoint, callingAETitle: options.calling, calledAETitle: options.called, window: options.window
        ) { [self] answer in take(answer) }
        let cursor = job.makeCursor()
        do {
            for number in numbers { try send(number, cursor, sender) }
            try sender.finish()
        } catch { record.complain("\(error)") }
    }

    private func send(_ number: Int, _ cursor: any LoadCursor, _ sender: StoreSender) throws {
        guard let instance = try cursor.select(number) else { return record.complain("not a DICOM file") }
        sizes[instance.sopInstanceUID] = cursor.dataSetBytes
        let isTaken = try sender.send(instance) { send throws(TransportError) in
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

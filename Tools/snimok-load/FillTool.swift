// SPDX-License-Identifier: Apache-2.0
import Archive
import BlobLog
import DIMSE
import Platform
import Synchronization

/// Fills a data directory through the archive's own ingest, without a network: the quick way to a large archive.
enum FillTool {
    /// Instances that may wait for the commit; more would only hold memory.
    private static let waitingMaximum = 4000
    private static let threads = 2

    static func run(_ job: LoadJob, _ path: String, _ options: LoadOptions) throws -> Int32 {
        var settings = Archive.Settings()
        settings.freeSpaceFloorBytes = 0
        let archive = try Archive(try DataDirectory(path), settings: settings, metrics: Metrics())
        let waiting = Monitor(0)
        let record = try LoadRecord(acknowledged: options.acknowledged)
        let start = Clock.monotonicNanoseconds()
        let running = try (0..<threads).map { index in
            return try SystemThread(name: "fill") {
                let cursor = job.makeCursor()
                for number in job.interleavedPart(index, of: threads) {
                    fill(archive, cursor, number, options, waiting, record)
                }
            }
        }
        for thread in running { thread.join() }
        waiting.wait { $0 == 0 ? true : nil }
        let seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9
        archive.close()
        let report = LoadReport(instances: job.count, seconds: seconds, record.result)
        print(options.isJSON ? report.json : report.text)
        return report.acknowledged == job.count ? 0 : 1
    }

    private static func fill(
        _ archive: Archive, _ cursor: any LoadCursor, _ number: Int, _ options: LoadOptions, _ waiting: Monitor<Int>,
        _ record: LoadRecord
    ) {
        waiting.wait { $0 < waitingMaximum ? true : nil }
        waiting.withLock { $0 += 1 }
        do {
            guard let instance = try cursor.select(number) else {
                throw LoadOptions.Mistake(description: "no DICOM file")
            }
            let ingest = archive.beginIngest(
                sopClassUID: instance.sopClassUID, sopInstanceUID: instance.sopInstanceUID,
                transferSyntaxUID: instance.transferSyntaxUID,
                source: IngestSource(
                    callingAETitle: options.calling, calledAETitle: options.called, peerAddress: "",
                    organisation: organisation(of: number, options), issuer: "", characterSetOverride: "",
                    associationID: "", route: .import))
            let bytes = cursor.dataSetBytes
            let begun = Clock.monotonicNanoseconds()
            try cursor.forEachPiece(onError: { (error: SystemError) in error }) { piece, _ throws(SystemError) in
                take(piece, ingest)
            }
            try ingest.finish(mayCommit: false) { result in
                switch result {
                case .success:
                    record.count(bytes: bytes, nanoseconds: Clock.monotonicNanoseconds() - begun)
                case .failure(let error): record.complain("\(error)")
                }
                waiting.update { $0 -= 1 }
            }
        } catch {
            record.complain("\(error)")
            waiting.update { $0 -= 1 }
        }
    }

    private static func organisation(of number: Int, _ options: LoadOptions) -> String {
        guard options.organisations > 1 else { return "default" }
        var study = number
        if case .synthetic(let synthetic) = options.source { study = number / synthetic.instances }
        return "organisation-\(study % options.organisations + 1)"
    }

    private static func take(_ piece: UnsafeRawBufferPointer, _ ingest: Ingest) {
        var rest = piece
        while !rest.isEmpty {
            let room = ingest.room()
            let count = min(room.count, rest.count)
            room.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            ingest.received(count)
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }
}

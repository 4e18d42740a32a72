// SPDX-License-Identifier: Apache-2.0
import DICOM
import DIMSE
import Glibc
import Platform
import Transport

/// `snimok-load …`
enum LoadTool {
    /// - Returns: the exit code.
    static func run(_ words: [String]) -> Int32 {
        if words.contains("--help") || words.contains("-h") {
            print(LoadOptions.help)
            return 0
        }
        do {
            let options = try LoadOptions(words)
            if let find = options.find { return try FindTool.run(find, options) }
            let job = try LoadJob(options.source)
            guard job.count > 0 else { throw LoadOptions.Mistake(description: "there is nothing to send") }
            switch options.destination {
            case .folder(let folder): return try write(job, to: folder)
            case .archive(let endpoint): return try send(job, to: endpoint, options)
            case .data(let directory): return try FillTool.run(job, directory, options)
            }
        } catch let mistake as LoadOptions.Mistake {
            complain(mistake.description)
            return 2
        } catch {
            complain("\(error)")
            return 1
        }
    }

    private static func send(_ job: LoadJob, to endpoint: Endpoint, _ options: LoadOptions) throws -> Int32 {
        let record = try LoadRecord(acknowledged: options.acknowledged)
        let start = Clock.monotonicNanoseconds()
        let associations = min(options.associations, job.count)
        let threads = try (0..<associations).map { index in
            let part = job.part(index, of: associations)
            // The first is due when all associations can be open.
            let schedule = options.ratePerSecond.map { rate in
                LoadSchedule(start: start + 200_000_000, ratePerSecond: rate, index: index, of: associations)
            }
            return try SystemThread(name: "association") {
                LoadSender(job, record).run(part, to: endpoint, options, schedule: schedule)
            }
        }
        for thread in threads { thread.join() }
        let seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9
        let report = LoadReport(instances: job.count, seconds: seconds, record.result)
        print(options.isJSON ? report.json : report.text)
        return report.acknowledged == job.count ? 0 : 1
    }

    /// Writes what would be sent as DICOM files, a thousand to a folder.
    private static func write(_ job: LoadJob, to folder: String) throws -> Int32 {
        let cursor = job.makeCursor()
        for number in 0..<job.count {
            guard let instance = try cursor.select(number) else { continue }
            let directory = "\(folder)/\(padded(number / 1000, 4))"
            if number % 1000 == 0 { try FileSystem.createDirectories(directory) }
            try write(instance, cursor, to: "\(directory)/\(padded(number, 7)).dcm")
        }
        print("\(job.count) files below \(folder)")
        return 0
    }

    private static func write(_ instance: StoreSender.Instance, _ cursor: any LoadCursor, to path: String) throws {
        let file = try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        let head = FileMeta.encoded(
            sopClassUID: instance.sopClassUID, sopInstanceUID: instance.sopInstanceUID,
            transferSyntaxUID: instance.transferSyntaxUID)
        try head.withRawBytes { bytes throws(SystemError) in try file.write(bytes, at: 0) }
        var position = UInt64(head.count)
        try cursor.forEachPiece(onError: { (error: SystemError) in error }) { bytes, _ throws(SystemError) in
            try file.write(bytes, at: position)
            position += UInt64(bytes.count)
        }
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    private static func complain(_ sentence: String) {
        let line = "snimok-load: \(sentence)\n"
        _ = line.withCString { Glibc.write(2, $0, strlen($0)) }
    }
}

// SPDX-License-Identifier: Apache-2.0
import DICOM
import DICOMNetwork
import DIMSE
import Glibc
import Platform
import Synchronization
import Transport

/// Files go over the socket in the data directory by the protocol that modalities speak, so import and C-STORE share
/// one ingest path, whether a server runs or not.
enum ImportCommand {
    private static let help = """
        usage: snimok import PATH… [--data DIR] [--config FILE]

        Stores DICOM files, found by their content, from files and folders; beside a running server or without one. May be
        interrupted and repeated: what is there already is recognised. Exit code 69: some files were refused.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        let paths = try arguments.rest()
        guard !paths.isEmpty else { throw Arguments.Failure.wrong("import wants files or folders; see --help") }
        for path in paths where !FileSystem.exists(path) {
            CommandLineTool.complain("no such file or folder: \(path)")
            return .noInput
        }
        // Without a server this process is one, for as long as it takes, on the local socket alone.
        let socket = "\(configuration.data)/import.socket"
        let service = isServed(socket) ? nil : try Service(configuration, listens: false)
        defer { service?.stop() }
        let importer = Importer(socket)
        return try importer.run(paths)
    }

    /// Whether a process has the archive open and takes instances on its socket.
    static func isServed(_ socket: String) -> Bool {
        guard FileSystem.exists(socket) else { return false }
        return (try? Socket.connect(to: .unix(path: socket), deadline: Clock.deadline(seconds: 2))) != nil
    }
}

/// One run of the import.
private final class Importer {
    private static let isInterrupted = Atomic<Bool>(false)
    private static let window = 16

    private var sender: StoreSender!
    private var stored = 0
    private var alreadyThere = 0
    private var notDICOM = 0
    private var refused: [String: Int] = [:]
    private var bytes: UInt64 = 0
    private var done = 0
    private var total = 0
    private var lastProgress: UInt64 = 0
    private let start = Clock.monotonicNanoseconds()
    private let socket: String

    init(_ socket: String) {
        self.socket = socket
        sender = makeSender()
    }

    private func makeSender() -> StoreSender {
        StoreSender(.unix(path: socket), callingAETitle: "IMPORT", calledAETitle: "SNIMOK", window: Self.window) {
            [unowned self] answer in count(answer)
        }
    }

    func run(_ paths: [String]) throws -> ExitCode {
        signal(SIGINT) { _ in Importer.isInterrupted.store(true, ordering: .relaxed) }
        let files = paths.flatMap(ImportFiles.below)
        total = files.count
        for file in files where !Self.isInterrupted.load(ordering: .relaxed) {
            store(file)
            done += 1
            showProgress()
        }
        try sender.finish()
        return summarize()
    }

    private func store(_ path: String) {
        do {
            guard let file = try DICOMFile(path) else {
                notDICOM += 1
                return
            }
            let meta = file.meta
            guard !meta.sopClassUID.isEmpty, !meta.sopInstanceUID.isEmpty, !meta.transferSyntaxUID.isEmpty else {
                return refuse("file meta group lacks a UID", path)
            }
            let instance = StoreSender.Instance(
                sopClassUID: meta.sopClassUID, sopInstanceUID: meta.sopInstanceUID,
                transferSyntaxUID: meta.transferSyntaxUID)
            let isTaken = try sender.send(instance) { send throws(TransportError) in
                try file.forEachPiece(onError: { .system($0) }) { bytes, isLast throws(TransportError) in
                    try send(bytes, isLast)
                }
            }
            if !isTaken { return refuse("SOP class or transfer syntax not accepted", path) }
            bytes += file.length
        } catch {
            refuse("\(error)", path)
            // The association may be gone; the next file begins another.
            if error is TransportError { sender = makeSender() }
        }
    }

    private func count(_ answer: StoreSender.Answer) {
        if answer.status == .success {
            if answer.comment.hasPrefix("Already") { alreadyThere += 1 } else { stored += 1 }
        } else {
            refuse(
                "\(String(answer.status.rawValue, radix: 16, uppercase: true)) \(answer.comment)", answer.sopInstanceUID
            )
        }
    }

    private func refuse(_ reason: String, _ what: String) {
        refused[reason, default: 0] += 1
        if refused[reason]! <= 5 { CommandLineTool.complain("refused \(Log.quoted(what)): \(reason)") }
    }

    private func showProgress() {
        let now = Clock.monotonicNanoseconds()
        guard isatty(2) == 1, now - lastProgress > 500_000_000 else { return }
        lastProgress = now
        let seconds = Double(now - start) / 1e9
        let rate = Double(done) / seconds
        let line =
            "\r\(done)/\(total) files, \(Int(rate))/s, \(Int(Double(bytes) / seconds / 1e6)) MB/s, \(Int(Double(total - done) / rate)) s left  "
        _ = line.withCString { write(2, $0, strlen($0)) }
    }

    private func summarize() -> ExitCode {
        let refusals = refused.values.reduce(0, +)
        if isatty(2) == 1 { print("") }
        print("stored \(stored), already there \(alreadyThere), refused \(refusals), not DICOM \(notDICOM)")
        for (reason, count) in refused.sorted(by: { $0.value > $1.value }) {
            print("  \(count) × \(Log.plain(reason))")
        }
        if Self.isInterrupted.load(ordering: .relaxed) {
            print("interrupted; run it again for the rest")
            return .inputOutput
        }
        return refusals == 0 ? .success : .someRefused
    }
}

/// What there is to be stored.
enum ImportFiles {
    /// Files below `path`, in order; links are not followed out of a folder.
    static func below(_ path: String) -> [String] {
        guard FileSystem.isDirectory(path) else { return [path] }
        var result: [String] = []
        var folders = [path]
        while let folder = folders.popLast() {
            for name in (try? FileSystem.entries(folder)) ?? [] {
                let entry = "\(folder)/\(name)"
                var status = stat()
                guard lstat(entry, &status) == 0 else { continue }
                if status.st_mode & S_IFMT == S_IFDIR { folders.append(entry) }
                if status.st_mode & S_IFMT == S_IFREG { result.append(entry) }
            }
        }
        return result
    }
}

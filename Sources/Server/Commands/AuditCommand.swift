// SPDX-License-Identifier: Apache-2.0
import Archive
import Audit
import FoundationEssentials
import Glibc
import Platform

enum AuditCommand {
    private static let help = """
        usage: snimok audit verify [--head "NUMBER CHAIN"] [--data DIR] [--config FILE]
               snimok audit head [--data DIR] [--config FILE]
               snimok audit export [--from TIME] [--to TIME] [--format json|xml] [--data DIR] [--config FILE]

        verify: is every entry of the audit trail there, in its place and as it was written? --head: one that was kept elsewhere,
        as `head` prints it. Exit code 3: something was removed, changed, moved or cut off; it says what.
        head: the number and chain value of the last entry that is surely on the disk, to be kept elsewhere.
        export: the entries, a line each, with what was stored as the log has it; as JSON, or as DICOM Audit Messages. Times are
        UTC and may be short: --from 2026-11 --to 2026-12-24. That the trail was read is on record, too.
        Beside a running server or without one.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        guard FileSystem.exists("\(configuration.data)/format") else {
            throw ArchiveError.failed("\(configuration.data) holds no archive; say --data or --config")
        }
        let kept = try arguments.value("--head")
        let export = try ExportOptions(&arguments)
        let words = try arguments.rest()
        switch words {
        case ["verify"]: return try verify(configuration, kept)
        case ["head"]: return try head(configuration)
        case ["export"]: return try AuditExport(configuration, export).run()
        default: throw Arguments.Failure.wrong("audit wants verify, head or export; see --help")
        }
    }

    private static func verify(_ configuration: Configuration, _ kept: String?) throws -> ExitCode {
        let head = try kept.map { text in
            guard let head = AuditHead(text: text) else {
                throw Arguments.Failure.wrong("--head wants what `snimok audit head` printed")
            }
            return head
        }
        let report = try AuditVerification(configuration.auditDirectory, kept: head)
        for problem in report.problems { CommandLineTool.complain(problem) }
        for note in report.notes { CommandLineTool.complain(note) }
        print("entries \(report.entries), files \(report.files), problems \(report.problems.count)")
        return report.problems.isEmpty ? .success : .damageFound
    }

    private static func head(_ configuration: Configuration) throws -> ExitCode {
        guard let head = try AuditHead.load(configuration.auditDirectory) else {
            CommandLineTool.complain(
                "there is no head of the audit trail that was made with its key; see snimok audit verify")
            return .damageFound
        }
        print(head.text)
        return .success
    }
}

/// What of the trail is wanted.
private struct ExportOptions {
    enum Format: String { case json, xml }

    let from: String
    /// Later than all times that begin with it.
    let to: String
    let format: Format

    init(_ arguments: inout Arguments) throws {
        let from = try arguments.value("--from")
        let to = try arguments.value("--to")
        for time in [from, to].compactMap({ $0 })
        where !time.allSatisfy({ $0.isASCII && ($0.isNumber || "-:.TZ".contains($0)) }) {
            throw Arguments.Failure.wrong("\(Log.quoted(time)) is no time such as 2026-11-21 or 2026-11-21T10:15")
        }
        self.from = from ?? ""
        self.to = to.map { $0 + "~" } ?? "~"
        guard let format = Format(rawValue: try arguments.value("--format") ?? "json") else {
            throw Arguments.Failure.wrong("--format is json or xml")
        }
        self.format = format
    }

    func includes(_ time: String) -> Bool { time >= from && time <= to }
}

/// Writes the trail, and the accounts of what was stored between its entries, in the order of time.
private final class AuditExport {
    private let configuration: Configuration
    private let options: ExportOptions
    private let source: AuditSource
    private var reader: AuditEntryReader
    /// The next entry of the trail that is wanted, and its line.
    private var next: (entry: AuditEntry, line: [UInt8])?
    private var output: [UInt8] = []

    init(_ configuration: Configuration, _ options: ExportOptions) throws {
        self.configuration = configuration
        self.options = options
        source = configuration.auditSource
        reader = AuditEntryReader(configuration.auditDirectory)
    }

    func run() throws -> ExitCode {
        var event = AuditEvent(.auditUsed, "snimok audit export", by: .operatorOfThisMachine)
        event.detail = "\(options.from) to \(options.to.dropLast()) as \(options.format.rawValue)"
        try CommandAudit.record(event, configuration)
        try advance()
        try ArchiveReader(configuration.data).forEachStoreAccount { account in
            let entry = AuditEntry(account)
            guard options.includes(entry.time) else { return }
            try writeEntries(before: entry.time)
            try write(entry, line: nil)
        }
        try writeEntries(before: nil)
        try flush()
        return .success
    }

    private func advance() throws {
        next = nil
        while let (_, line) = try reader.next() {
            guard let entry = try? JSONDecoder().decode(AuditEntry.self, from: Data(line)) else { continue }
            guard options.includes(entry.time) else { continue }
            next = (entry, line)
            return
        }
    }

    private func writeEntries(before time: String?) throws {
        while let (entry, line) = next, time.map({ entry.time <= $0 }) ?? true {
            try write(entry, line: line)
            try advance()
        }
    }

    private func write(_ entry: AuditEntry, line: [UInt8]?) throws {
        switch options.format {
        // As they stand there; what is derived has no number and no chain value.
        case .json: output += (line ?? entry.line) + [0x0A]
        case .xml:
            for message in AuditMessage.messages(entry, source: source) { output += Array(message.utf8) + [0x0A] }
        }
        if output.count > 64 << 10 { try flush() }
    }

    private func flush() throws {
        var rest = output[...]
        while !rest.isEmpty {
            let count = try retryingInterrupts("write", "standard output") {
                rest.withUnsafeBytes { Glibc.write(1, $0.baseAddress, $0.count) }
            }
            rest = rest.dropFirst(count)
        }
        output = []
    }
}

/// What commands of this machine's operator put on record about what they do by themselves, beside the server.
enum CommandAudit {
    private static let attempts = 20

    /// Through the server that runs, or without one into the trail itself; throws if it cannot be done.
    static func record(_ event: AuditEvent, _ configuration: Configuration) throws {
        for attempt in 1...attempts {
            if let answer = try ControlClient.askRunning(ControlRequest(command: .audit, event: event), configuration) {
                if let error = answer.error { throw ArchiveError.failed(error) }
                return
            }
            let trail = AuditTrail(configuration.auditDirectory, settings: configuration.auditSettings)
            defer { trail.stop() }
            do throws(AuditError) {
                try trail.record(event)
                return
            } catch {
                // A server is just starting or ending.
                guard case .inUse = error, attempt < attempts else { throw error }
                usleep(250_000)
            }
        }
    }
}

extension AuditParty {
    /// The user of this process.
    static var operatorOfThisMachine: AuditParty { AuditParty(.local, name: "uid \(getuid())") }
}

// SPDX-License-Identifier: Apache-2.0
import Archive
import Audit
import BlobLog
import FoundationEssentials
import Platform

enum HistoryCommand {
    private static let help = """
        usage: snimok history --instance UID [--json] [--data DIR]

        Says everything that the log holds about an instance, in order: what was stored and seen again, by whom and when,
        deletions of it, its series or its study, and what the archive noted. Reads the log alone, beside a running server or
        without one. --json: one object a line. Exit code 66: there is nothing; 3: the log has unreadable places.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        guard let uid = try arguments.value("--instance") else {
            throw Arguments.Failure.wrong("history wants --instance UID; see --help")
        }
        let isJSON = arguments.flag("--json")
        try arguments.end()
        guard FileSystem.exists("\(configuration.data)/format") else {
            throw ArchiveError.log(.notAnArchive(configuration.data))
        }
        var event = AuditEvent(.accessed, "snimok history", by: .operatorOfThisMachine)
        (event.access, event.detail) = (.read, "instance \(uid)")
        try CommandAudit.record(event, configuration)
        let history = try InstanceHistory(of: uid, data: configuration.data)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        for event in history.events {
            print(isJSON ? String(decoding: try encoder.encode(event), as: UTF8.self) : line(event))
        }
        for gap in history.gaps {
            CommandLineTool.complain(
                "no readable record in segment \(gap.segment), bytes \(gap.range): something may be lacking")
        }
        if !history.gaps.isEmpty { return .damageFound }
        if history.events.isEmpty {
            CommandLineTool.complain("the log says nothing about this instance")
            return .noInput
        }
        return .success
    }

    private static func line(_ event: InstanceHistory.Event) -> String {
        var parts: [String] = []
        switch event.kind {
        case .instance:
            parts.append("stored blob \(event.blobID ?? ""), \(event.bytes ?? 0) bytes")
            parts.append("transfer syntax \(quoted(event.transferSyntaxUID))")
            parts.append("study \(quoted(event.studyInstanceUID)), series \(quoted(event.seriesInstanceUID))")
            if event.replacesDamaged == true { parts.append("replaces a damaged copy") }
        case .sighting:
            let what = event.wasReplaced == true ? "stored, and replaced when it was found damaged" : "came again"
            parts.append("\(what), blob \(event.blobID ?? "")")
        case .tombstone: parts.append("deleted: \(quoted(event.target))")
        case .annotation:
            parts.append("noted \(quoted(event.name))")
            if let value = event.value { parts.append("saying \(Log.quoted(value))") }
            if let target = event.target { parts.append("of \(Log.quoted(target))") }
            if let blobID = event.blobID { parts.append("blob \(blobID)") }
        }
        parts += source(event)
        return "\(event.sequence)\t\(event.time)\t" + parts.joined(separator: ", ")
    }

    private static func source(_ event: InstanceHistory.Event) -> [String] {
        var parts: [String] = []
        if let title = event.callingAETitle { parts.append("by \(Log.quoted(title))") }
        if let title = event.calledAETitle { parts.append("to \(Log.quoted(title))") }
        if let address = event.peerAddress { parts.append("at \(Log.quoted(address))") }
        if let organisation = event.organisation { parts.append("of \(Log.quoted(organisation))") }
        if let association = event.association { parts.append("association \(Log.quoted(association))") }
        if let route = event.route { parts.append("route \(Log.quoted(route))") }
        return parts
    }

    /// UIDs, too, are what somebody sent.
    private static func quoted(_ text: String?) -> String {
        let quoted = Log.quoted(text ?? "")
        return quoted.allSatisfy { $0.isNumber || $0.isLetter || ". \"".contains($0) }
            ? String(quoted.dropFirst().dropLast()) : quoted
    }
}

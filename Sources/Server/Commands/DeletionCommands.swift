// SPDX-License-Identifier: Apache-2.0
import Archive
import Platform

enum DeleteCommand {
    private static let help = """
        usage: snimok delete (--study UID | --series UID | --instance UID) [--data DIR] [--config FILE]

        Hides it at once from every query and fetch; until the grace of storage.deletionGraceDays is over, snimok undelete
        brings it back, then its bytes are dropped for good. Beside a running server or without one.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        var request = ControlRequest(command: .delete)
        for level in ["study", "series", "instance"] {
            guard let uid = try arguments.value("--\(level)") else { continue }
            guard request.level == nil else { throw Arguments.Failure.wrong("delete wants one UID; see --help") }
            (request.level, request.uid) = (level, uid)
        }
        guard request.level != nil else { throw Arguments.Failure.wrong("delete wants a UID; see --help") }
        try arguments.end()
        let answer = try ControlClient.ask(request, configuration)
        return answer.explained { answer in
            "deleted \(answer.instances ?? 0) instances; snimok undelete \(answer.tombstone ?? 0) brings them back until \(answer.revocableUntil ?? "")"
        }
    }
}

enum UndeleteCommand {
    private static let help = """
        usage: snimok undelete NUMBER [--data DIR] [--config FILE]

        Brings back what a deletion took away, while its grace lasts. snimok deletions lists the numbers.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        let words = try arguments.rest()
        guard words.count == 1, let number = UInt64(words[0]) else {
            throw Arguments.Failure.wrong("undelete wants the number of a deletion; see --help")
        }
        let answer = try ControlClient.ask(ControlRequest(command: .undelete, tombstone: number), configuration)
        return answer.explained { _ in "deletion \(number) is taken back" }
    }
}

enum DeletionsCommand {
    private static let help = """
        usage: snimok deletions [--data DIR] [--config FILE]

        Lists every deletion: its number, when, what, by whom, how many instances, and whether it may still be taken back.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        try arguments.end()
        let answer = try ControlClient.ask(ControlRequest(command: .deletions), configuration)
        return answer.explained { answer in
            (answer.deletions ?? []).map {
                "\($0.tombstone)\t\($0.at)\t\($0.state)\t\($0.instances)\t\($0.target)\tby \(Log.quoted($0.by))"
            }.joined(separator: "\n")
        }
    }
}

enum CompactCommand {
    private static let help = """
        usage: snimok compact [--all] [--data DIR] [--config FILE]

        Makes deletions whose grace is over final, and gives back the space of records that nobody refers to any more, in
        segments of which storage.compactionGarbagePercent are garbage; --all: wherever there is any. The server does the same by
        itself.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        let everything = arguments.flag("--all")
        try arguments.end()
        let answer = try ControlClient.ask(
            ControlRequest(command: .compact, everything: everything), configuration)
        return answer.explained { "compacted \($0.segments ?? 0) segments, freed \($0.freedBytes ?? 0) bytes" }
    }
}

extension ControlAnswer {
    /// Prints the answer or the error.
    func explained(_ text: (ControlAnswer) -> String) -> ExitCode {
        if let error {
            CommandLineTool.complain(error)
            return isMissing == true ? .noInput : .inputOutput
        }
        let line = text(self)
        if !line.isEmpty { print(line) }
        return .success
    }
}

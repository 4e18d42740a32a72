// SPDX-License-Identifier: Apache-2.0
import Platform

enum ShareCommand {
    private static let help = """
        usage: snimok share --study UID --with ORGANISATION --until DAY|DAYS [--of ORGANISATION] [--data DIR] [--config FILE]

        Shows a study to another organisation until the end of a day (2026-12-31, UTC) or for a number of days: what --of has
        sent into it, the archive's own organisation if it is not said. Beside a running server or without one; at once.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        var request = ControlRequest(command: .share)
        request.uid = try arguments.value("--study")
        request.receiver = try arguments.value("--with")
        request.until = try arguments.value("--until")
        request.organisation = try arguments.value("--of")
        guard request.uid != nil, request.receiver != nil, request.until != nil else {
            throw Arguments.Failure.wrong("share wants --study, --with and --until; see --help")
        }
        try arguments.end()
        return try ControlClient.ask(request, configuration).explained { answer in
            (answer.shares ?? []).map {
                "share \($0.number) until \($0.until); snimok unshare \($0.number) ends it before"
            }
            .joined(separator: "\n")
        }
    }
}

enum SharesCommand {
    private static let help = """
        usage: snimok shares [--data DIR] [--config FILE]

        Lists what is shown to other organisations now: number, until when, study, whose, to whom, by whom.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        try arguments.end()
        return try ControlClient.ask(ControlRequest(command: .shares), configuration).explained { answer in
            (answer.shares ?? []).map {
                "\($0.number)\t\($0.until)\t\($0.study)\t\(Log.quoted($0.organisation))\t\(Log.quoted($0.receiver))\tby \(Log.quoted($0.by))"
            }.joined(separator: "\n")
        }
    }
}

enum UnshareCommand {
    private static let help = """
        usage: snimok unshare NUMBER [--data DIR] [--config FILE]

        Ends a share before its time, at once. snimok shares lists the numbers.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        let words = try arguments.rest()
        guard words.count == 1, let number = UInt64(words[0]) else {
            throw Arguments.Failure.wrong("unshare wants the number of a share; see --help")
        }
        return try ControlClient.ask(ControlRequest(command: .unshare, tombstone: number), configuration)
            .explained { _ in "share \(number) is ended" }
    }
}

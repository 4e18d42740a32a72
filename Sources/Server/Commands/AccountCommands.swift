// SPDX-License-Identifier: Apache-2.0
import Access
import Glibc
import Platform

enum UserCommand {
    private static let help = """
        usage: snimok user add NAME --role ROLE[,ROLE] [--organisation O] [--password-file FILE]
               snimok user password NAME [--password-file FILE]
               snimok user disable|enable|remove NAME
               snimok user list
               all with [--data DIR] [--config FILE]

        Who may come over HTTP. Roles: viewer (finds and fetches), uploader (stores, finds what its organisation has stored),
        administrator (all but the audit trail), auditor (the audit trail alone). The password is asked for, or read from
        standard input or FILE: one line of 12 characters or more. Works beside a running server, at once, or without one. With
        the first user or token, every request over HTTP needs credentials, also from this machine.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        let roles = try arguments.values("--role")
        let organisation = try arguments.value("--organisation")
        let passwordFile = try arguments.value("--password-file")
        let words = try arguments.rest()
        guard let action = action(words) else {
            throw Arguments.Failure.wrong(
                "user wants add, password, disable, enable, remove with a name, or list; see --help")
        }
        var request = AccountRequest(action: action)
        request.name = words.dropFirst().first
        switch action {
        case .addUser:
            guard !roles.isEmpty else { throw Arguments.Failure.wrong("user add wants --role; see --help") }
            request.roles = roles
            request.organisation = organisation
            request.password = try PasswordEntry.read(file: passwordFile)
        case .setPassword: request.password = try PasswordEntry.read(file: passwordFile)
        default: break
        }
        return try ControlClient.ask(request, configuration).explained { answer in
            (answer.account?.users ?? []).map { user in
                [
                    user.name, user.organisation, user.roles.joined(separator: ","),
                    user.isDisabled ? "disabled" : "enabled", "created \(user.created)", "changed \(user.changed)",
                    "last used \(user.lastUsed ?? "never")", "wrong passwords since \(user.failedAttempts)",
                ].joined(separator: "\t")
            }.joined(separator: "\n")
        }
    }

    private static func action(_ words: [String]) -> AccountRequest.Action? {
        switch (words.first, words.count) {
        case ("list", 1): .users
        case ("add", 2): .addUser
        case ("password", 2): .setPassword
        case ("disable", 2): .disable
        case ("enable", 2): .enable
        case ("remove", 2): .removeUser
        default: nil
        }
    }
}

enum TokenCommand {
    private static let help = """
        usage: snimok token add NAME --permissions P[,P] [--organisation O] [--days N]
               snimok token revoke NAME
               snimok token list
               all with [--data DIR] [--config FILE]

        What programs show over HTTP (Authorization: Bearer). Permissions: query, retrieve, store, delete, share, administer,
        audit, monitor. The token is printed once and cannot be told again. Without --days it does not expire. Works beside a
        running server, at once, or without one.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        let permissions = try arguments.values("--permissions")
        let organisation = try arguments.value("--organisation")
        let days = try arguments.value("--days")
        let words = try arguments.rest()
        var request: AccountRequest
        switch (words.first, words.count) {
        case ("list", 1): request = AccountRequest(action: .tokens)
        case ("revoke", 2): request = AccountRequest(action: .revokeToken)
        case ("add", 2):
            request = AccountRequest(action: .addToken)
            guard !permissions.isEmpty else {
                throw Arguments.Failure.wrong("token add wants --permissions; see --help")
            }
            request.permissions = permissions
            request.organisation = organisation
            if let days {
                guard let number = Double(days) else { throw Arguments.Failure.wrong("--days wants a number") }
                request.days = number
            }
        default: throw Arguments.Failure.wrong("token wants add or revoke with a name, or list; see --help")
        }
        request.name = words.dropFirst().first
        return try ControlClient.ask(request, configuration).explained { answer in
            if let token = answer.account?.token { return token }
            return (answer.account?.tokens ?? []).map { token in
                [
                    token.name, token.organisation, token.permissions.joined(separator: ","),
                    token.revoked.map { "revoked \($0)" } ?? "expires \(token.expires ?? "never")",
                    "created \(token.created)", "last used \(token.lastUsed ?? "never")",
                ].joined(separator: "\t")
            }.joined(separator: "\n")
        }
    }
}

/// A password from a terminal, standard input or a file; never from the command line, which everybody on the machine sees.
private enum PasswordEntry {
    static func read(file: String?) throws -> String {
        if let file {
            let text = String(decoding: try FileSystem.contents(file), as: UTF8.self)
            return String(text.prefix { !$0.isNewline })
        }
        guard isatty(0) == 1 else { return readLine() ?? "" }
        let first = try ask("Password: ")
        guard try ask("Once more: ") == first else { throw AccountError("the two passwords are not the same") }
        return first
    }

    private static func ask(_ question: String) throws -> String {
        _ = question.withCString { write(2, $0, strlen($0)) }
        var before = termios()
        tcgetattr(0, &before)
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(0, TCSAFLUSH, &silent)
        defer {
            tcsetattr(0, TCSAFLUSH, &before)
            _ = write(2, "\n", 1)
        }
        return readLine() ?? ""
    }
}

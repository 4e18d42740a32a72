// SPDX-License-Identifier: Apache-2.0
import Control
import Database
import Platform

/// All users, tokens and sessions, in memory for the asking and written through to `control.db`. Changes take effect with
/// the next request: whoever makes them does so here, in the process that has the archive.
package final class Accounts: Sendable {
    package static let passwordMinimum = 12
    private static let nameMaximumBytes = 64
    private static let sessionsOfUserMaximum = 20
    private static let sessionsMaximum = 100_000
    /// How often it is written down when accounts were last used.
    private static let flushSeconds: UInt64 = 60

    private struct Book {
        var users: [String: UserAccount] = [:]
        var tokens: [Int64: APIToken] = [:]
        var sessions: [[UInt8]: WebSession] = [:]
        var usedUsers: Set<String> = []
        var usedTokens: Set<Int64> = []
        var usedSessions: Set<[UInt8]> = []
        var flushedAt: UInt64 = 0
    }

    private let control: Control
    private let clock: AccessClock
    private let book: Monitor<Book>

    package init(_ control: Control, clock: AccessClock = AccessClock()) throws(DatabaseError) {
        self.control = control
        self.clock = clock
        var book = Book()
        for user in try control.users() { book.users[user.name] = user }
        for token in try control.tokens() { book.tokens[token.id] = token }
        for session in try control.sessions() { book.sessions[session.secret] = session }
        book.flushedAt = clock.monotonic()
        self.book = Monitor(book)
    }

    /// Whether nobody has ever been given access. Whoever is disabled, expired or revoked still counts: taking access from
    /// the last one must not open the archive to all.
    package var areEmpty: Bool { book.withLock { $0.users.isEmpty && $0.tokens.isEmpty } }

    // MARK: Users

    package var users: [UserAccount] { book.withLock { $0.users.values.sorted { $0.name < $1.name } } }

    package func user(_ name: String) -> UserAccount? { book.withLock { $0.users[name] } }

    /// - Parameter password: as Argon2id text.
    package func addUser(
        _ name: String, password: String, organisation: String, roles: Set<Role>
    ) throws(AccountError) {
        try Self.check(name: name, "a user's name")
        // HTTP Basic ends the name at the first colon (RFC 7617 section 2), also at one with a mark behind it.
        guard !name.utf8.contains(UInt8(ascii: ":")) else { throw AccountError("a user's name holds no colon") }
        try Self.check(name: organisation, "an organisation")
        guard !roles.isEmpty else { throw AccountError("a user needs a role") }
        let user = UserAccount(
            name: name, password: password, organisation: organisation, roles: roles.map(\.rawValue).sorted(),
            createdAtNanoseconds: clock.wall())
        try change { book throws(AccountError) in
            guard book.users[name] == nil else { throw AccountError("there is a user \(Log.quoted(name)) already") }
            try self.write { () throws(DatabaseError) in try self.control.put(user) }
            book.users[name] = user
        }
    }

    /// Whoever is signed in with the old one is not any more.
    package func setPassword(of name: String, to password: String) throws(AccountError) {
        try changeUser(name) {
            $0.password = password
            $0.failedAttempts = 0
        }
    }

    package func setDisabled(_ isDisabled: Bool, of name: String) throws(AccountError) {
        try changeUser(name) { $0.isDisabled = isDisabled }
    }

    package func removeUser(_ name: String) throws(AccountError) {
        try change { book throws(AccountError) in
            guard book.users[name] != nil else { throw Self.noUser(name) }
            guard book.users.count + book.tokens.count > 1 else {
                throw AccountError(
                    "without any user everybody on this machine could do everything; disable this last one instead")
            }
            try self.write { () throws(DatabaseError) in try self.control.removeUser(name) }
            book.users[name] = nil
            book.sessions = book.sessions.filter { $0.value.user != name }
        }
    }

    /// Ends the user's sessions too.
    private func changeUser(_ name: String, _ body: (inout UserAccount) -> Void) throws(AccountError) {
        try change { book throws(AccountError) in
            guard var user = book.users[name] else { throw Self.noUser(name) }
            body(&user)
            user.changedAtNanoseconds = self.clock.wall()
            let sessions = book.sessions.values.filter { $0.user == name }.map(\.secret)
            try self.write { () throws(DatabaseError) in
                try self.control.removeSessions(sessions)
                try self.control.put(user)
            }
            book.users[name] = user
            for session in sessions { book.sessions[session] = nil }
        }
    }

    private static func noUser(_ name: String) -> AccountError {
        AccountError("there is no user \(Log.quoted(name))", isMissing: true)
    }

    // MARK: Tokens

    package var tokens: [APIToken] { book.withLock { $0.tokens.values.sorted { $0.id < $1.id } } }

    package func token(named name: String) -> APIToken? {
        book.withLock { $0.tokens.values.first { $0.name == name } }
    }

    package func token(_ id: Int64) -> APIToken? { book.withLock { $0.tokens[id] } }

    /// - Returns: the token, which is not kept and cannot be told again.
    package func addToken(
        _ name: String, organisation: String, permissions: Permissions, days: Double?
    ) throws(AccountError) -> String {
        try Self.check(name: name, "a token's name")
        try Self.check(name: organisation, "an organisation")
        guard !permissions.isEmpty else { throw AccountError("a token needs permissions") }
        if let days, !(days > 0 && days < 36_500) { throw AccountError("a token's days are more than 0") }
        let secret = Secret.random()
        let now = clock.wall()
        var token = APIToken(
            name: name, secret: Secret.digest(secret), organisation: organisation, permissions: permissions.rawValue,
            createdAtNanoseconds: now, expiresAtNanoseconds: days.map { now + Int64($0 * 86_400) * 1_000_000_000 })
        try change { book throws(AccountError) in
            guard !book.tokens.values.contains(where: { $0.name == name }) else {
                throw AccountError("there is a token \(Log.quoted(name)) already, or was one; choose another name")
            }
            try self.write { () throws(DatabaseError) in token.id = try self.control.add(token) }
            book.tokens[token.id] = token
        }
        return TokenText(id: token.id, secret: secret).text
    }

    package func revokeToken(_ name: String) throws(AccountError) {
        let now = clock.wall()
        try change { book throws(AccountError) in
            guard let token = book.tokens.values.first(where: { $0.name == name }) else {
                throw AccountError("there is no token \(Log.quoted(name))", isMissing: true)
            }
            guard token.revokedAtNanoseconds == nil else { return }
            try self.write { () throws(DatabaseError) in try self.control.revokeToken(token.id, atNanoseconds: now) }
            book.tokens[token.id]?.revokedAtNanoseconds = now
        }
    }

    // MARK: Sessions

    package func session(_ secret: [UInt8]) -> WebSession? { book.withLock { $0.sessions[secret] } }

    package func addSession(_ session: WebSession, idleNanoseconds: Int64) throws(AccountError) {
        let now = clock.wall()
        try change { book throws(AccountError) in
            var gone = book.sessions.values.filter {
                $0.expiresAtNanoseconds <= now || now - $0.lastSeenAtNanoseconds > idleNanoseconds
            }.map(\.secret)
            let others = book.sessions.values.filter { $0.user == session.user && !gone.contains($0.secret) }
                .sorted { $0.lastSeenAtNanoseconds > $1.lastSeenAtNanoseconds }
            gone += others.dropFirst(Self.sessionsOfUserMaximum - 1).map(\.secret)
            guard book.sessions.count - gone.count < Self.sessionsMaximum else {
                throw AccountError("too many people are signed in")
            }
            try self.write { () throws(DatabaseError) in
                try self.control.removeSessions(gone)
                try self.control.add(session)
            }
            for secret in gone { book.sessions[secret] = nil }
            book.sessions[session.secret] = session
        }
    }

    package func removeSession(_ secret: [UInt8]) throws(AccountError) {
        try change { book throws(AccountError) in
            guard book.sessions[secret] != nil else { return }
            try self.write { () throws(DatabaseError) in try self.control.removeSessions([secret]) }
            book.sessions[secret] = nil
        }
    }

    // MARK: Use

    func noteUse(user: String) {
        let now = clock.wall()
        note { book in
            book.users[user]?.lastUsedAtNanoseconds = now
            book.users[user]?.failedAttempts = 0
            book.usedUsers.insert(user)
        }
    }

    func noteFailure(user: String) {
        note { book in
            guard book.users[user] != nil else { return }
            book.users[user]!.failedAttempts += 1
            book.usedUsers.insert(user)
        }
    }

    func noteUse(token: Int64) {
        let now = clock.wall()
        note { book in
            book.tokens[token]?.lastUsedAtNanoseconds = now
            book.usedTokens.insert(token)
        }
    }

    func noteUse(session: [UInt8]) {
        let now = clock.wall()
        note { book in
            book.sessions[session]?.lastSeenAtNanoseconds = now
            book.usedSessions.insert(session)
        }
    }

    /// Not written at once: that would cost each request a sync of the disk, and would tell by its time whether there is
    /// such a user.
    private func note(_ body: (inout Book) -> Void) {
        let now = clock.monotonic()
        let isDue = book.withLock { book in
            body(&book)
            return Clock.elapsed(since: book.flushedAt, now: now) > Self.flushSeconds * 1_000_000_000
        }
        if isDue { flush() }
    }

    /// Writes down when accounts were last used; called at the end, and from time to time by itself.
    package func flush() {
        let used = book.withLock { book in
            defer {
                book.usedUsers = []
                book.usedTokens = []
                book.usedSessions = []
                book.flushedAt = clock.monotonic()
            }
            return (
                users: book.usedUsers.compactMap { book.users[$0] },
                tokens: book.usedTokens.compactMap { book.tokens[$0] },
                sessions: book.usedSessions.compactMap { book.sessions[$0] }
            )
        }
        guard !(used.users.isEmpty && used.tokens.isEmpty && used.sessions.isEmpty) else { return }
        do { try control.noteUse(users: used.users, tokens: used.tokens, sessions: used.sessions) } catch {
            Log.warning("when accounts were last used could not be written", ["why": "\(error)"])
        }
    }

    // MARK: Changing

    /// Changes are rare: whoever asks meanwhile waits for the disk.
    private func change(_ body: (inout Book) throws(AccountError) -> Void) throws(AccountError) {
        // A closure that throws its own type does not go through `Monitor.withLock` as such.
        let failure = book.withLock { book -> AccountError? in
            do throws(AccountError) {
                try body(&book)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    private func write(_ body: () throws(DatabaseError) -> Void) throws(AccountError) {
        do throws(DatabaseError) { try body() } catch { throw AccountError(error) }
    }

    /// Names stand in the log, in the audit trail and in commands.
    private static func check(name: String, _ what: String) throws(AccountError) {
        let isSound = name.unicodeScalars.allSatisfy {
            switch $0.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
            default: true
            }
        }
        guard isSound, !name.isEmpty, name.utf8.count <= nameMaximumBytes, name.first != " ", name.last != " " else {
            throw AccountError(
                "\(what) has 1 to \(nameMaximumBytes) bytes, no control characters and no spaces around it")
        }
    }
}

/// An API token as its holder has it: `snimok_7_SECRET`.
struct TokenText {
    private static let prefix = "snimok"
    let id: Int64
    let secret: [UInt8]

    init(id: Int64, secret: [UInt8]) {
        self.id = id
        self.secret = secret
    }

    /// - Returns: nil: it is none.
    init?(_ text: String) {
        // The secret's letters may hold the separator.
        let parts = text.split(separator: "_", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == Self.prefix, let id = Int64(parts[1]), let secret = Secret.bytes(parts[2]),
            secret.count == Secret.bytes
        else { return nil }
        self.id = id
        self.secret = secret
    }

    var text: String { "\(Self.prefix)_\(id)_\(Secret.text(secret))" }
}

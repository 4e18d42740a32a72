// SPDX-License-Identifier: Apache-2.0
import Catalog
import Control
import Database
import Glibc
import Platform

/// Finds out who asks: the one place where names, passwords and tokens are believed, for HTTP and for user identity
/// negotiation alike. What its askers may see is asked for anew each time.
package final class Authenticator: Sendable {
    package struct Settings: Sendable {
        /// Of a session that nobody uses, and of any.
        package var sessionIdleSeconds = 3600.0
        package var sessionSeconds = 12 * 3600.0
        /// Whose JSON Web Tokens are believed; nil: nobody's.
        package var authority: JSONWebToken.Authority?
        package var cost = PasswordHasher.Cost()
        package var clock = AccessClock()

        package init() {}
    }

    package let accounts: Accounts
    private let settings: Settings
    private let scope: @Sendable (String) -> CatalogScope
    private let hasher: PasswordHasher
    private let throttle: SignInThrottle
    private let verified: VerificationCache
    private var clock: AccessClock { settings.clock }

    /// - Parameter scope: what members of an organisation see.
    package init(
        _ accounts: Accounts, settings: Settings, scope: @escaping @Sendable (String) -> CatalogScope
    ) throws(AccessError) {
        self.accounts = accounts
        self.settings = settings
        self.scope = scope
        hasher = PasswordHasher(settings.cost)
        throttle = SignInThrottle(settings.clock)
        verified = VerificationCache(settings.clock)
    }

    /// Whether anybody can show that he may come in. While nobody can, only this machine is served.
    package var hasCredentials: Bool { settings.authority != nil || !accounts.areEmpty }

    // MARK: Who asks

    /// - Parameter address: numeric, of whom the credentials come from; guessing from there is slowed down.
    package func user(name: String, password: String, address: String) throws(AccessError) -> Asker {
        guard password.utf8.count <= PasswordHasher.passwordMaximumBytes, name.utf8.count <= 256 else {
            throw .wrongCredentials
        }
        let account = accounts.user(name)
        let isRight = try verified.isRight(name, password, account?.password) { () throws(AccessError) in
            try self.verify(name, password, account, at: address)
        }
        guard isRight, let account, !account.isDisabled else {
            // A name that nobody has may be a password that was typed into the wrong field.
            Log.warning(
                "sign-in refused",
                [
                    "user": account?.name ?? "unknown", "address": address,
                    "why": isRight ? "disabled" : "wrong name or password",
                ])
            if !isRight { accounts.noteFailure(user: name) }
            throw .wrongCredentials
        }
        accounts.noteUse(user: name)
        return asker(account, at: address)
    }

    /// The slow part, under the throttle.
    private func verify(
        _ name: String, _ password: String, _ account: UserAccount?, at address: String
    ) throws(AccessError) -> Bool {
        if let seconds = throttle.begin(name, at: Self.network(address)) {
            throw .tooManyAttempts(retryAfterSeconds: seconds)
        }
        let isRight = try hasher.isRight(password, for: account?.password)
        if isRight, account?.isDisabled == false { throttle.succeeded(name, at: Self.network(address)) }
        return isRight
    }

    /// - Parameter text: an API token of the archive's own, or a JSON Web Token.
    package func bearer(token text: String, address: String) throws(AccessError) -> Asker {
        if let authority = settings.authority,
            let token = JSONWebToken(text, from: authority, at: clock.wall())
        {
            return asker(
                .user, "\(token.subject)@\(authority.issuer)", token.organisation, token.roles, at: address)
        }
        guard let shown = TokenText(text), let token = accounts.token(shown.id),
            Secret.areEqual(token.secret, Secret.digest(shown.secret))
        else { throw .wrongCredentials }
        guard isValid(token) else {
            // Somebody still uses it; what was never a token anybody can send without end.
            Log.warning("token refused", ["token": token.name, "address": address, "why": "expired or revoked"])
            throw .wrongCredentials
        }
        accounts.noteUse(token: token.id)
        return Asker(
            kind: .token, name: token.name, address: address, permissions: Permissions(rawValue: token.permissions),
            scope: scope(token.organisation))
    }

    private func asker(_ account: UserAccount, at address: String) -> Asker {
        asker(.user, account.name, account.organisation, Set(account.roles.compactMap(Role.init)), at: address)
    }

    private func asker(
        _ kind: Asker.Kind, _ name: String, _ organisation: String, _ roles: Set<Role>, at address: String
    ) -> Asker {
        let seesOthers = roles.contains(where: \.seesOthers)
        var asker = Asker(
            kind: kind, name: name, address: address,
            permissions: roles.reduce(into: []) { $0.formUnion($1.permissions) },
            scope: seesOthers ? scope(organisation) : CatalogScope(organisation: organisation, visible: []))
        asker.seesShared = seesOthers
        return asker
    }

    /// What guessing is counted by: of IPv6 the first 64 bits, for who has one address of them has all.
    package static func network(_ address: String) -> String {
        var six = in6_addr()
        // An IPv4 caller of an IPv6 socket is himself.
        guard !address.contains("."), inet_pton(AF_INET6, address, &six) == 1 else { return address }
        return withUnsafeBytes(of: &six) { $0.prefix(8).map { String($0, radix: 16) }.joined(separator: " ") }
    }

    /// Whether somebody who was let in is still to be: accounts end while an association lasts.
    package func stillCounts(_ asker: Asker) -> Bool {
        switch asker.kind {
        case .station, .local: true
        case .user:
            // One whom another authority vouched for has no account here.
            accounts.user(asker.name).map { !$0.isDisabled }
                ?? settings.authority.map { asker.name.hasSuffix("@\($0.issuer)") } ?? false
        case .token: accounts.token(named: asker.name).map(isValid) ?? false
        }
    }

    private func isValid(_ token: APIToken) -> Bool {
        token.revokedAtNanoseconds == nil && (token.expiresAtNanoseconds.map { clock.wall() < $0 } ?? true)
    }

    // MARK: Sessions of the web page

    /// A new session, never one that was there before (session fixation).
    /// - Returns: the value for the cookie.
    package func signIn(name: String, password: String, address: String) throws(AccessError) -> String {
        let asker = try user(name: name, password: password, address: address)
        let secret = Secret.random()
        let now = clock.wall()
        let session = WebSession(
            secret: Secret.digest(secret), user: asker.name, createdAtNanoseconds: now,
            expiresAtNanoseconds: now + Int64(settings.sessionSeconds * 1e9))
        do { try accounts.addSession(session, idleNanoseconds: idleNanoseconds) } catch {
            throw .unavailable(error.description)
        }
        return Secret.text(secret)
    }

    package func session(cookie: String, address: String) throws(AccessError) -> Asker {
        let now = clock.wall()
        guard let secret = Secret.bytes(cookie), let session = accounts.session(Secret.digest(secret)),
            now < session.expiresAtNanoseconds, now - session.lastSeenAtNanoseconds < idleNanoseconds,
            let account = accounts.user(session.user), !account.isDisabled
        else { throw .wrongCredentials }
        accounts.noteUse(session: session.secret)
        return asker(account, at: address)
    }

    /// What a page of the archive's own shows with requests that change something. Follows from the cookie, which pages
    /// cannot read; nobody else can compute it.
    package static func antiForgeryToken(cookie: String) -> String {
        Secret.text(Secret.digest(Array("request forgery".utf8), key: Secret.digest(Array(cookie.utf8))))
    }

    package static func isAntiForgeryToken(_ token: String, of cookie: String) -> Bool {
        Secret.areEqual(Array(token.utf8), Array(antiForgeryToken(cookie: cookie).utf8))
    }

    package func signOut(cookie: String) throws(AccessError) {
        guard let secret = Secret.bytes(cookie) else { return }
        do { try accounts.removeSession(Secret.digest(secret)) } catch { throw .unavailable(error.description) }
    }

    private var idleNanoseconds: Int64 { Int64(settings.sessionIdleSeconds * 1e9) }

    // MARK: Passwords of users that are made

    package func hash(password: String) throws(AccountError) -> String {
        try Self.check(password: password)
        do { return try hasher.hash(password) } catch { throw AccountError(error.description) }
    }

    private static func check(password: String) throws(AccountError) {
        guard password.count >= Accounts.passwordMinimum, password.utf8.count <= PasswordHasher.passwordMaximumBytes
        else {
            throw AccountError(
                "a password has \(Accounts.passwordMinimum) characters or more and at most \(PasswordHasher.passwordMaximumBytes) bytes"
            )
        }
    }
}

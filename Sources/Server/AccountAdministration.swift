// SPDX-License-Identifier: Apache-2.0
import Access
import Audit
import Control
import Platform

/// What a command wants of users and tokens.
struct AccountRequest: Codable {
    enum Action: String, Codable {
        case addUser, users, setPassword, disable, enable, removeUser
        case addToken, tokens, revokeToken
    }

    var action: Action
    var name: String?
    var password: String?
    /// nil: the archive's own.
    var organisation: String?
    var roles: [String]?
    var permissions: [String]?
    /// Until a token expires; nil: never.
    var days: Double?

    /// What the audit trail keeps of it (PS3.15 section A.5.3.11); nil: it only looks.
    func auditEvent(by administrator: AuditParty) -> AuditEvent? {
        guard action != .users, action != .tokens else { return nil }
        var event = AuditEvent(
            .alert, "snimok account", by: administrator, detail: "\(action.rawValue) \(name ?? "")")
        event.alert = .userAttributes
        return event
    }
}

struct AccountAnswer: Codable {
    struct User: Codable {
        var name: String
        var organisation: String
        var roles: [String]
        var isDisabled: Bool
        var created: String
        var changed: String
        var lastUsed: String?
        var failedAttempts: Int
    }

    struct Token: Codable {
        var name: String
        var organisation: String
        var permissions: [String]
        var created: String
        var expires: String?
        var lastUsed: String?
        var revoked: String?
    }

    var users: [User]?
    var tokens: [Token]?
    /// Of a new token; told once.
    var token: String?
}

/// Changes users and tokens for the administrator at the archive's own machine.
struct AccountAdministration: Sendable {
    private let authenticator: Authenticator
    private let organisation: String
    private var accounts: Accounts { authenticator.accounts }

    /// - Parameter organisation: of those for whom none is said.
    init(_ authenticator: Authenticator, organisation: String) {
        self.authenticator = authenticator
        self.organisation = organisation
    }

    /// - Parameter administrator: who asks, for the log.
    func answer(_ request: AccountRequest, by administrator: String) throws -> AccountAnswer {
        switch request.action {
        case .users: return AccountAnswer(users: accounts.users.map(Self.row))
        case .tokens: return AccountAnswer(tokens: accounts.tokens.map(Self.row))
        default: break
        }
        guard let name = request.name else { throw AccountError("say a name") }
        let answer = try change(name, request)
        Log.info("account changed", ["action": request.action.rawValue, "name": name, "by": administrator])
        return answer
    }

    private func change(_ name: String, _ request: AccountRequest) throws -> AccountAnswer {
        switch request.action {
        case .addUser:
            try accounts.addUser(
                name, password: try authenticator.hash(password: request.password ?? ""),
                organisation: request.organisation ?? organisation, roles: try Self.roles(request.roles ?? []))
        case .setPassword:
            try accounts.setPassword(of: name, to: try authenticator.hash(password: request.password ?? ""))
        case .disable: try accounts.setDisabled(true, of: name)
        case .enable: try accounts.setDisabled(false, of: name)
        case .removeUser: try accounts.removeUser(name)
        case .addToken:
            guard let permissions = Permissions(names: request.permissions ?? []) else {
                throw AccountError("permissions are \(Permissions.names.map(\.name).joined(separator: ", "))")
            }
            return AccountAnswer(
                token: try accounts.addToken(
                    name, organisation: request.organisation ?? organisation, permissions: permissions,
                    days: request.days))
        case .revokeToken: try accounts.revokeToken(name)
        case .users, .tokens: break
        }
        return AccountAnswer()
    }

    private static func roles(_ names: [String]) throws(AccountError) -> Set<Role> {
        var roles: Set<Role> = []
        for name in names {
            guard let role = Role(rawValue: name) else {
                throw AccountError("roles are \(Role.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            roles.insert(role)
        }
        return roles
    }

    private static func row(_ user: UserAccount) -> AccountAnswer.User {
        AccountAnswer.User(
            name: user.name, organisation: user.organisation, roles: user.roles, isDisabled: user.isDisabled,
            created: Clock.timestamp(user.createdAtNanoseconds), changed: Clock.timestamp(user.changedAtNanoseconds),
            lastUsed: user.lastUsedAtNanoseconds.map { Clock.timestamp($0) }, failedAttempts: user.failedAttempts)
    }

    private static func row(_ token: APIToken) -> AccountAnswer.Token {
        AccountAnswer.Token(
            name: token.name, organisation: token.organisation,
            permissions: Permissions(rawValue: token.permissions).names,
            created: Clock.timestamp(token.createdAtNanoseconds),
            expires: token.expiresAtNanoseconds.map { Clock.timestamp($0) },
            lastUsed: token.lastUsedAtNanoseconds.map { Clock.timestamp($0) },
            revoked: token.revokedAtNanoseconds.map { Clock.timestamp($0) })
    }
}

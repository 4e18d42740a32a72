// SPDX-License-Identifier: Apache-2.0
import Database

/// Users, API tokens and sessions. They are few: who decides about requests holds them in memory (`Access.Accounts`) and
/// writes each change here first.
extension Control {
    package func users() throws(DatabaseError) -> [UserAccount] {
        try all(
            """
            SELECT name, password, organisation, roles, disabled, created_at, changed_at, last_used_at, failed_attempts
            FROM user_account ORDER BY name
            """
        ) { row in
            var user = UserAccount(
                name: row.text(0) ?? "", password: row.text(1) ?? "", organisation: row.text(2) ?? "",
                roles: (row.text(3) ?? "").split(separator: ",").map(String.init), createdAtNanoseconds: row.integer(5))
            user.isDisabled = row.integer(4) != 0
            user.changedAtNanoseconds = row.integer(6)
            user.lastUsedAtNanoseconds = row.isNull(7) ? nil : row.integer(7)
            user.failedAttempts = Int(row.integer(8))
            return user
        }
    }

    /// Writes a user whole, new or not.
    package func put(_ user: UserAccount) throws(DatabaseError) {
        try transaction { database throws(DatabaseError) in try Self.put(user, database) }
    }

    /// The user and all sessions of his go.
    package func removeUser(_ name: String) throws(DatabaseError) {
        try transaction { database throws(DatabaseError) in
            try database.statement("DELETE FROM web_session WHERE user_name = ?").run([.text(name)])
            try database.statement("DELETE FROM user_account WHERE name = ?").run([.text(name)])
        }
    }

    package func tokens() throws(DatabaseError) -> [APIToken] {
        try all(
            """
            SELECT id, name, secret, organisation, permissions, created_at, expires_at, last_used_at, revoked_at
            FROM api_token ORDER BY id
            """
        ) { row in
            var token = APIToken(
                name: row.text(1) ?? "", secret: row.blob(2), organisation: row.text(3) ?? "",
                permissions: UInt16(clamping: row.integer(4)), createdAtNanoseconds: row.integer(5),
                expiresAtNanoseconds: row.isNull(6) ? nil : row.integer(6))
            token.id = row.integer(0)
            token.lastUsedAtNanoseconds = row.isNull(7) ? nil : row.integer(7)
            token.revokedAtNanoseconds = row.isNull(8) ? nil : row.integer(8)
            return token
        }
    }

    /// - Returns: its number.
    package func add(_ token: APIToken) throws(DatabaseError) -> Int64 {
        try transaction { database throws(DatabaseError) in
            try database.statement(
                """
                INSERT INTO api_token(name, secret, organisation, permissions, created_at, expires_at)
                VALUES(?, ?, ?, ?, ?, ?)
                """
            ).run([
                .text(token.name), .blob(token.secret), .text(token.organisation), .integer(Int64(token.permissions)),
                .integer(token.createdAtNanoseconds), token.expiresAtNanoseconds.map { .integer($0) } ?? .null,
            ])
            return database.lastInsertedID
        }
    }

    package func revokeToken(_ id: Int64, atNanoseconds: Int64) throws(DatabaseError) {
        try transaction { database throws(DatabaseError) in
            try database.statement("UPDATE api_token SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL").run([
                .integer(atNanoseconds), .integer(id),
            ])
        }
    }

    package func sessions() throws(DatabaseError) -> [WebSession] {
        try all("SELECT secret, user_name, created_at, last_seen_at, expires_at FROM web_session") { row in
            var session = WebSession(
                secret: row.blob(0), user: row.text(1) ?? "", createdAtNanoseconds: row.integer(2),
                expiresAtNanoseconds: row.integer(4))
            session.lastSeenAtNanoseconds = row.integer(3)
            return session
        }
    }

    package func add(_ session: WebSession) throws(DatabaseError) {
        try transaction { database throws(DatabaseError) in
            try database.statement("INSERT INTO web_session VALUES(?, ?, ?, ?, ?)").run([
                .blob(session.secret), .text(session.user), .integer(session.createdAtNanoseconds),
                .integer(session.lastSeenAtNanoseconds), .integer(session.expiresAtNanoseconds),
            ])
        }
    }

    package func removeSessions(_ secrets: [[UInt8]]) throws(DatabaseError) {
        try transaction { database throws(DatabaseError) in
            for secret in secrets {
                try database.statement("DELETE FROM web_session WHERE secret = ?").run([.blob(secret)])
            }
        }
    }

    /// Writes when users, tokens and sessions were last used; what is gone meanwhile stays gone.
    package func noteUse(users: [UserAccount], tokens: [APIToken], sessions: [WebSession]) throws(DatabaseError) {
        try transaction { database throws(DatabaseError) in
            for user in users {
                try database.statement(
                    "UPDATE user_account SET last_used_at = ?, failed_attempts = ? WHERE name = ?"
                ).run([
                    user.lastUsedAtNanoseconds.map { .integer($0) } ?? .null, .integer(Int64(user.failedAttempts)),
                    .text(user.name),
                ])
            }
            for token in tokens {
                try database.statement("UPDATE api_token SET last_used_at = ? WHERE id = ?").run([
                    token.lastUsedAtNanoseconds.map { .integer($0) } ?? .null, .integer(token.id),
                ])
            }
            for session in sessions {
                try database.statement("UPDATE web_session SET last_seen_at = ? WHERE secret = ?").run([
                    .integer(session.lastSeenAtNanoseconds), .blob(session.secret),
                ])
            }
        }
    }

    private static func put(_ user: UserAccount, _ database: Database) throws(DatabaseError) {
        try database.statement(
            """
            INSERT INTO user_account(name, password, organisation, roles, disabled, created_at, changed_at, last_used_at,
                failed_attempts)
            VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT(name) DO UPDATE SET password = excluded.password, organisation = excluded.organisation,
                roles = excluded.roles, disabled = excluded.disabled, changed_at = excluded.changed_at
            """
        ).run([
            .text(user.name), .text(user.password), .text(user.organisation), .text(user.roles.joined(separator: ",")),
            .integer(user.isDisabled ? 1 : 0), .integer(user.createdAtNanoseconds), .integer(user.changedAtNanoseconds),
            user.lastUsedAtNanoseconds.map { .integer($0) } ?? .null, .integer(Int64(user.failedAttempts)),
        ])
    }

    private func all<Row>(_ sql: StaticString, _ read: (Statement) -> Row) throws(DatabaseError) -> [Row] {
        try database.withLock { database throws(DatabaseError) in
            var rows: [Row] = []
            try database.statement(sql).forEach([]) { row throws(DatabaseError) in
                rows.append(read(row))
                return true
            }
            return rows
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// A person who may sign in. What the roles mean is decided above.
package struct UserAccount: Equatable, Sendable {
    package var name: String
    /// An Argon2id text.
    package var password: String
    package var organisation: String
    package var roles: [String]
    package var isDisabled = false
    /// Since 1970, as all times here.
    package var createdAtNanoseconds: Int64
    package var changedAtNanoseconds: Int64
    package var lastUsedAtNanoseconds: Int64?
    /// Wrong passwords since the last right one.
    package var failedAttempts = 0

    package init(name: String, password: String, organisation: String, roles: [String], createdAtNanoseconds: Int64) {
        self.name = name
        self.password = password
        self.organisation = organisation
        self.roles = roles
        self.createdAtNanoseconds = createdAtNanoseconds
        changedAtNanoseconds = createdAtNanoseconds
    }
}

/// What a program shows instead of a password.
package struct APIToken: Equatable, Sendable {
    /// 0 until it is stored.
    package var id: Int64 = 0
    package var name: String
    /// BLAKE2b-256 of the secret.
    package var secret: [UInt8]
    package var organisation: String
    /// Bits of `Permissions`.
    package var permissions: UInt16
    package var createdAtNanoseconds: Int64
    /// nil: never.
    package var expiresAtNanoseconds: Int64?
    package var lastUsedAtNanoseconds: Int64?
    package var revokedAtNanoseconds: Int64?

    package init(
        name: String, secret: [UInt8], organisation: String, permissions: UInt16, createdAtNanoseconds: Int64,
        expiresAtNanoseconds: Int64?
    ) {
        self.name = name
        self.secret = secret
        self.organisation = organisation
        self.permissions = permissions
        self.createdAtNanoseconds = createdAtNanoseconds
        self.expiresAtNanoseconds = expiresAtNanoseconds
    }
}

/// Somebody who signed in at the web page.
package struct WebSession: Equatable, Sendable {
    /// BLAKE2b-256 of the cookie's value.
    package var secret: [UInt8]
    package var user: String
    package var createdAtNanoseconds: Int64
    package var lastSeenAtNanoseconds: Int64
    package var expiresAtNanoseconds: Int64

    package init(secret: [UInt8], user: String, createdAtNanoseconds: Int64, expiresAtNanoseconds: Int64) {
        self.secret = secret
        self.user = user
        self.createdAtNanoseconds = createdAtNanoseconds
        lastSeenAtNanoseconds = createdAtNanoseconds
        self.expiresAtNanoseconds = expiresAtNanoseconds
    }
}

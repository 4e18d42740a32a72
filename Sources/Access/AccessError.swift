// SPDX-License-Identifier: Apache-2.0
import Database

/// Why somebody is not let in. What is said of credentials is the same for all that is wrong with them.
package enum AccessError: Error, Equatable, CustomStringConvertible {
    /// Unknown, wrong, expired, revoked or disabled: nobody is told which.
    case wrongCredentials
    /// Too many wrong ones came before.
    case tooManyAttempts(retryAfterSeconds: Int)
    /// Too many passwords are being checked.
    case busy
    /// `control.db` does not answer.
    case unavailable(String)

    package var description: String {
        switch self {
        case .wrongCredentials: "The name, password or token is wrong, has expired or was withdrawn"
        case .tooManyAttempts(let seconds): "Too many wrong attempts; try again in \(seconds) seconds"
        case .busy: "Too many people sign in at this moment; try again in a few seconds"
        case .unavailable(let why): "Nobody can be let in: \(why)"
        }
    }
}

/// What is wrong with a change of users and tokens, in a sentence.
package struct AccountError: Error, CustomStringConvertible {
    package let description: String
    /// Whether there is no such thing.
    package let isMissing: Bool

    package init(_ description: String, isMissing: Bool = false) {
        self.description = description
        self.isMissing = isMissing
    }

    init(_ error: DatabaseError) { self.init("control.db: \(error)") }
}

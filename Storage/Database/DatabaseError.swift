// SPDX-License-Identifier: Apache-2.0

/// What a database refused, and why.
package struct DatabaseError: Error, CustomStringConvertible {
    package enum Kind: Sendable {
        case newerSchema, busy, full, corrupt, other
        /// It took more than the time that it was given (`Database.within`).
        case tooLong
    }

    package let kind: Kind
    package let message: String

    package init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message
    }

    package var description: String { message }
}

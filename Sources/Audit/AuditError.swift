// SPDX-License-Identifier: Apache-2.0

/// Why an entry could not be written, and with it why the access that it is about is refused.
package enum AuditError: Error, Equatable, CustomStringConvertible {
    /// No room; it may work again later.
    case full(String)
    /// For good, until the next start.
    case stopped(String)
    case inUse(String)

    package var description: String {
        switch self {
        case .full(let why):
            "the audit trail has no room (\(why)), so reading is refused; make room on its disk"
        case .stopped(let why):
            "the audit trail cannot be written (\(why)), so reading is refused; mend that and start the archive anew"
        case .inUse(let path): "\(path) is written by another process"
        }
    }

    /// Of at most 64 characters, for DIMSE's Error Comment (PS3.7 annex C).
    package var comment: String {
        switch self {
        case .full: "Audit trail has no room; reading is refused"
        case .stopped, .inUse: "Audit trail cannot be written; reading is refused"
        }
    }
}

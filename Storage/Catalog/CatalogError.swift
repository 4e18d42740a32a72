// SPDX-License-Identifier: Apache-2.0
import CSQLite

/// Why the catalog could not do what was asked. It can always be deleted and rebuilt from the log.
package struct CatalogError: Error, CustomStringConvertible {
    package enum Kind: Sendable {
        /// The file is no catalog: another application's database, or no database at all.
        case notOurs
        /// A later release wrote it.
        case newerSchema
        /// Another process holds it.
        case busy
        /// No space is left.
        case full
        /// Damaged: rebuild it from the log.
        case corrupt
        case other
    }

    package let code: Int32
    package let message: String
    package let kind: Kind

    package init(code: Int32, message: String, kind: Kind) {
        self.code = code
        self.message = message
        self.kind = kind
    }

    package var description: String { "catalog: \(message) (\(kind), code \(code))" }
}

extension CatalogError {
    /// - Parameter code: SQLite's extended result code.
    init(code: Int32, message: String) {
        self.init(code: code, message: message, kind: Kind(code: code))
    }
}

extension CatalogError.Kind {
    fileprivate init(code: Int32) {
        // The low byte is the primary code.
        switch code & 0xFF {
        case SQLITE_NOTADB: self = .notOurs
        case SQLITE_BUSY, SQLITE_LOCKED: self = .busy
        case SQLITE_FULL: self = .full
        case SQLITE_CORRUPT: self = .corrupt
        default: self = .other
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// What the catalog's database refused, and why.
package struct CatalogError: Error, CustomStringConvertible {
    package enum Kind: Sendable { case newerSchema, busy, full, corrupt, other }

    static let newerSchemaText = "the catalog was written by a newer version; update snimok, or rebuild"

    package let kind: Kind
    package let message: String

    package init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message
    }

    package var description: String { message }
}

// SPDX-License-Identifier: Apache-2.0

/// What the catalog's database refused, and why.
package struct CatalogError: Error, CustomStringConvertible {
    package enum Kind: Sendable { case newerSchema, busy, full, corrupt, other }

    package let kind: Kind
    package let message: String

    package init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message
    }

    package var description: String { message }
}

// SPDX-License-Identifier: Apache-2.0
import Database

/// What the catalog's database refused, and why.
package typealias CatalogError = DatabaseError

extension CatalogError {
    static let newerSchemaText = "the catalog was written by a newer version; update snimok, or rebuild"
}

// SPDX-License-Identifier: Apache-2.0
import Database

extension Database {
    /// Wildcard matching by our own matcher: SQLite's LIKE and GLOB take exponential time on `*?*?*?`.
    private static let wildcardFunctions = [
        DatabaseFunction("matches") { pattern, text in WildcardMatcher.matches(pattern, text) },
        DatabaseFunction("matches_name") { pattern, name in WildcardMatcher.matchesName(pattern, name) },
    ]

    /// A connection to the catalog.
    /// - Parameter cacheKiB: page cache of this connection.
    convenience init(path: String, isReadOnly: Bool, cacheKiB: Int) throws(CatalogError) {
        try self.init(
            path: path, isReadOnly: isReadOnly, cacheKiB: cacheKiB, functions: Self.wildcardFunctions)
    }
}

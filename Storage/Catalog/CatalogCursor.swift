// SPDX-License-Identifier: Apache-2.0

/// An answer that is handed out: what was found of it, and how far it has come. It holds no reader and no snapshot, so the
/// writer's log can be folded into the database however long an answer is, and however slowly somebody takes it.
struct CatalogCursor {
    /// Ids found at once.
    static let chunkRows = 50_000
    /// Rows read at once.
    static let pageRows = 200

    let query: CatalogQuery
    /// The last id that was looked for.
    private(set) var after: Int64 = 0
    private var found: ArraySlice<CatalogReader.Match> = []
    private var skipped: Int
    private var remaining: UInt
    private var isLastChunk = false

    var isAtEnd: Bool { found.isEmpty && (isLastChunk || remaining == 0) }

    init(_ query: CatalogQuery) {
        self.query = query
        skipped = query.offset
        remaining = (query.limit ?? Int.max).addingReportingOverflow(query.offset).partialValue.magnitude
    }

    /// What was found all at once.
    init(_ query: CatalogQuery, found: [CatalogReader.Match]) {
        self.init(query)
        self.found = found[...]
        isLastChunk = true
    }

    /// How many were found so far, with those that are skipped.
    var foundCount: Int { query.offset - skipped + found.count }

    /// The next rows. None may be left of what was found, and there may be more behind.
    mutating func next(_ reader: CatalogReader) throws(CatalogError) -> [CatalogRow] {
        let asker = try reader.resolve(query)
        let isOld = !found.isEmpty
        if !isOld { try look(reader, asker) }
        let page = found.prefix(Self.pageRows)
        found = found.dropFirst(Self.pageRows)
        return try reader.rows(page, of: query, asker, isOld: isOld)
    }

    /// Finds the next ids, behind those that are skipped.
    mutating func look(_ reader: CatalogReader, _ asker: ResolvedScope) throws(CatalogError) {
        while found.isEmpty, !isAtEnd {
            let limit = Int(min(UInt(Self.chunkRows), remaining))
            let chunk = try reader.more(self, asker, limit: limit)
            let dropped = min(skipped, chunk.count)
            skipped -= dropped
            found = chunk[dropped...]
            isLastChunk = chunk.count < limit
            after = chunk.last?.id ?? after
            remaining -= UInt(chunk.count)
        }
    }
}

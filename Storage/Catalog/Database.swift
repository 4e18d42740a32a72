// SPDX-License-Identifier: Apache-2.0
import CSQLite

/// A connection to SQLite and its prepared statements. One thread at a time.
final class Database {
    private var handle: OpaquePointer?
    private var statements: [String: Statement] = [:]
    private var fixedStatements: [UInt: Statement] = [:]
    private static let statementsMaximum = 200
    static let busyTimeoutMilliseconds: Int32 = 5000

    /// - Parameter cacheKiB: page cache of this connection.
    init(path: String, isReadOnly: Bool, cacheKiB: Int) throws(CatalogError) {
        let flags =
            (isReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) | SQLITE_OPEN_NOMUTEX
        let result = sqlite3_open_v2(path, &handle, flags, nil)
        guard result == SQLITE_OK else {
            defer { close() }
            throw error(result, "open \(path)")
        }
        sqlite3_busy_timeout(handle, Self.busyTimeoutMilliseconds)
        try execute("PRAGMA cache_size=-\(cacheKiB)")
        registerFunctions()
    }

    deinit { close() }

    func close() {
        statements.removeAll()
        fixedStatements.removeAll()
        sqlite3_close_v2(handle)
        handle = nil
    }

    /// Pages in the write-ahead log after this connection's last commit, once `countWriteAheadPages` was called. It takes
    /// the place of automatic checkpoints.
    private(set) var writeAheadPages = 0

    func countWriteAheadPages() {
        sqlite3_wal_hook(
            handle,
            { context, _, _, pages in
                Unmanaged<Database>.fromOpaque(context!).takeUnretainedValue().writeAheadPages = Int(pages)
                return SQLITE_OK
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Runs SQL without parameters or results.
    func execute(_ sql: String) throws(CatalogError) {
        let result = sqlite3_exec(handle, sql, nil, nil, nil)
        if result != SQLITE_OK { throw error(result, sql) }
    }

    /// A prepared statement, kept for the next time. Text that stands in the program is known by where it stands, which
    /// costs less than hashing it.
    func statement(_ sql: StaticString) throws(CatalogError) -> Statement {
        let key = UInt(bitPattern: sql.utf8Start)
        if let statement = fixedStatements[key] { return statement }
        let statement = try prepare(sql.description)
        fixedStatements[key] = statement
        return statement
    }

    /// The same for text that is put together.
    @_disfavoredOverload
    func statement(_ sql: String) throws(CatalogError) -> Statement {
        if let statement = statements[sql] { return statement }
        // Queries of many shapes would otherwise pile up.
        if statements.count >= Self.statementsMaximum { statements.removeAll() }
        let statement = try prepare(sql)
        statements[sql] = statement
        return statement
    }

    private func prepare(_ sql: String) throws(CatalogError) -> Statement {
        var prepared: OpaquePointer?
        let result = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard result == SQLITE_OK, let prepared else { throw error(result, sql) }
        return Statement(prepared, self)
    }

    var lastInsertedID: Int64 { sqlite3_last_insert_rowid(handle) }
    var changes: Int { Int(sqlite3_changes(handle)) }

    func error(_ code: Int32, _ what: String) -> CatalogError {
        let text = handle.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
        let kind: CatalogError.Kind =
            switch code & 0xFF {
            case SQLITE_FULL: .full
            case SQLITE_BUSY, SQLITE_LOCKED: .busy
            case SQLITE_CORRUPT, SQLITE_NOTADB: .corrupt
            default: .other
            }
        return CatalogError(kind: kind, message: "\(text) (\(what.prefix(200)))")
    }

    /// Wildcard matching by our own matcher: SQLite's LIKE and GLOB take exponential time on `*?*?*?`.
    private func registerFunctions() {
        let flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC
        sqlite3_create_function_v2(
            handle, "matches", 2, flags, nil,
            { context, _, arguments in
                let isMatch =
                    bytes(arguments![0]).map { pattern in
                        bytes(arguments![1]).map { WildcardMatcher.matches(pattern, $0) } ?? false
                    } ?? false
                sqlite3_result_int(context, isMatch ? 1 : 0)
            }, nil, nil, nil)
        sqlite3_create_function_v2(
            handle, "matches_name", 2, flags, nil,
            { context, _, arguments in
                let isMatch =
                    bytes(arguments![0]).map { pattern in
                        bytes(arguments![1]).map { WildcardMatcher.matchesName(pattern, $0) } ?? false
                    } ?? false
                sqlite3_result_int(context, isMatch ? 1 : 0)
            }, nil, nil, nil)
    }
}

private func bytes(_ value: OpaquePointer?) -> UnsafeRawBufferPointer? {
    guard let text = sqlite3_value_text(value) else { return nil }
    return UnsafeRawBufferPointer(start: text, count: Int(sqlite3_value_bytes(value)))
}

/// A prepared statement: bind, step, read, and it is as new again after the run.
final class Statement {
    private let handle: OpaquePointer
    private unowned let database: Database
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    init(_ handle: OpaquePointer, _ database: Database) {
        self.handle = handle
        self.database = database
    }

    deinit { sqlite3_finalize(handle) }

    /// A value to bind.
    enum Value {
        case null
        case integer(Int64)
        case text(String)
        case blob([UInt8])

        init(_ text: String?) { self = text.map { .text($0) } ?? .null }
    }

    /// Runs a statement that gives no rows.
    func run(_ values: [Value]) throws(CatalogError) {
        bind(values)
        defer { reset() }
        let result = sqlite3_step(handle)
        guard result == SQLITE_DONE || result == SQLITE_ROW else { throw database.error(result, sql) }
    }

    /// Runs and hands out each row until `body` says false.
    func forEach(_ values: [Value], _ body: (Statement) throws(CatalogError) -> Bool) throws(CatalogError) {
        bind(values)
        defer { reset() }
        while true {
            switch sqlite3_step(handle) {
            case SQLITE_ROW: if try !body(self) { return }
            case SQLITE_DONE: return
            case let result: throw database.error(result, sql)
            }
        }
    }

    /// The first row, as `body` reads it.
    func first<Result>(_ values: [Value], _ body: (Statement) -> Result) throws(CatalogError) -> Result? {
        var found: Result?
        try forEach(values) { row throws(CatalogError) in
            found = body(row)
            return false
        }
        return found
    }

    func integer(_ column: Int) -> Int64 { sqlite3_column_int64(handle, Int32(column)) }
    func isNull(_ column: Int) -> Bool { sqlite3_column_type(handle, Int32(column)) == SQLITE_NULL }

    func text(_ column: Int) -> String? {
        guard let text = sqlite3_column_text(handle, Int32(column)) else { return nil }
        let count = Int(sqlite3_column_bytes(handle, Int32(column)))
        return String(decoding: UnsafeRawBufferPointer(start: text, count: count), as: UTF8.self)
    }

    func blob(_ column: Int) -> [UInt8] {
        let count = Int(sqlite3_column_bytes(handle, Int32(column)))
        return Array(UnsafeRawBufferPointer(start: sqlite3_column_blob(handle, Int32(column)), count: count))
    }

    private var sql: String { String(cString: sqlite3_sql(handle)) }

    private func reset() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    private func bind(_ values: [Value]) {
        for (index, value) in values.enumerated() {
            let position = Int32(index + 1)
            switch value {
            case .null: sqlite3_bind_null(handle, position)
            case .integer(let number): sqlite3_bind_int64(handle, position, number)
            case .text(var text):
                text.withUTF8 { bytes in
                    // An empty string has no address, and no address would be NULL.
                    if let base = bytes.baseAddress, bytes.count > 0 {
                        base.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
                            _ = sqlite3_bind_text(handle, position, $0, Int32(bytes.count), Self.transient)
                        }
                    } else {
                        sqlite3_bind_text(handle, position, "", 0, Self.transient)
                    }
                }
            case .blob(let bytes): sqlite3_bind_blob(handle, position, bytes, Int32(bytes.count), Self.transient)
            }
        }
    }
}

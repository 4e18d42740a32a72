// SPDX-License-Identifier: Apache-2.0
import CSQLite
import Glibc
import Platform

/// A connection to SQLite and its prepared statements. One thread at a time.
package final class Database {
    private(set) var handle: OpaquePointer?
    private var statements: [String: Statement] = [:]
    private var fixedStatements: [UInt: Statement] = [:]
    private var formStatements: [Form: Statement] = [:]
    private static let statementsMaximum = 200
    package static let busyTimeoutMilliseconds: Int32 = 5000

    /// Opens the file, which is created if it is missing and not opened to be read only.
    /// - Parameters:
    ///   - cacheKiB: page cache of this connection.
    ///   - functions: what SQL may call on this connection.
    package init(
        path: String, isReadOnly: Bool, cacheKiB: Int, functions: [DatabaseFunction]
    ) throws(DatabaseError) {
        _ = Self.isConfigured
        let flags =
            (isReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) | SQLITE_OPEN_NOMUTEX
        let result = sqlite3_open_v2(path, &handle, flags, nil)
        guard result == SQLITE_OK else {
            defer { close() }
            throw error(result, "open \(path)")
        }
        sqlite3_busy_timeout(handle, Self.busyTimeoutMilliseconds)
        try execute("PRAGMA cache_size=-\(cacheKiB)")
        for function in functions { function.register(on: handle) }
    }

    deinit { close() }

    /// Before the first connection: SQLite's own count of its memory, which nobody reads, is a lock around each allocation
    /// that all connections share. Refused where SQLite was used before, which costs time and nothing else.
    private static let isConfigured = csqlite_omit_memory_statistics() == SQLITE_OK

    package func close() {
        statements.removeAll()
        fixedStatements.removeAll()
        formStatements.removeAll()
        sqlite3_close_v2(handle)
        handle = nil
    }

    /// Pages in the write-ahead log after this connection's last commit, once `countWriteAheadPages` was called. It takes
    /// the place of automatic checkpoints.
    package private(set) var writeAheadPages = 0
    /// Commits of this connection that wrote pages, counted likewise.
    package private(set) var commits = 0

    package func countWriteAheadPages() {
        sqlite3_wal_hook(
            handle,
            { context, _, _, pages in
                let database = Unmanaged<Database>.fromOpaque(context!).takeUnretainedValue()
                database.writeAheadPages = Int(pages)
                database.commits += 1
                return SQLITE_OK
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Pages that this connection did not find in its cache since it was asked the last time.
    package func takeCacheMisses() -> Int {
        var misses: Int32 = 0
        var highest: Int32 = 0
        sqlite3_db_status(handle, SQLITE_DBSTATUS_CACHE_MISS, &misses, &highest, 1)
        return Int(misses)
    }

    /// Runs SQL without parameters or results.
    package func execute(_ sql: String) throws(DatabaseError) {
        let result = sqlite3_exec(handle, sql, nil, nil, nil)
        if result != SQLITE_OK { throw error(result, sql) }
    }

    /// A prepared statement, kept for the next time. Text that stands in the program is known by where it stands, which
    /// costs less than hashing it.
    package func statement(_ sql: StaticString) throws(DatabaseError) -> Statement {
        let key = UInt(bitPattern: sql.utf8Start)
        if let statement = fixedStatements[key] { return statement }
        let statement = try prepare(sql.description)
        fixedStatements[key] = statement
        return statement
    }

    /// The same for text that is put together.
    @_disfavoredOverload
    package func statement(_ sql: String) throws(DatabaseError) -> Statement {
        if let statement = statements[sql] { return statement }
        // Queries of many shapes would otherwise pile up.
        if statements.count >= Self.statementsMaximum { statements.removeAll() }
        let statement = try prepare(sql)
        statements[sql] = statement
        return statement
    }

    /// The same for text that takes a few forms, told apart by a number: it is put together once for each.
    package func statement(_ name: StaticString, form: Int, _ sql: () -> String) throws(DatabaseError) -> Statement {
        let key = Form(name: UInt(bitPattern: name.utf8Start), number: form)
        if let statement = formStatements[key] { return statement }
        if formStatements.count >= Self.statementsMaximum { formStatements.removeAll() }
        let statement = try prepare(sql())
        formStatements[key] = statement
        return statement
    }

    private struct Form: Hashable {
        let name: UInt
        let number: Int
    }

    private func prepare(_ sql: String) throws(DatabaseError) -> Statement {
        var prepared: OpaquePointer?
        let result = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard result == SQLITE_OK, let prepared else { throw error(result, sql) }
        return Statement(prepared, self)
    }

    /// Runs `body` on the database as it stands at one moment. Each statement by itself would take and release the lock of
    /// readers, two system calls.
    package func snapshot<Result>(_ body: () throws -> Result) throws -> Result {
        try statement("BEGIN").run([])
        // Nothing was written, so nothing can fail to be.
        defer { try? statement("COMMIT").run([]) }
        return try body()
    }

    /// Lets the statements of `body` run for so long; then the one that runs fails with `.tooLong`.
    package func within<Result>(
        seconds: Double, _ body: () throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        deadlineNanoseconds = Clock.deadline(seconds: seconds)
        sqlite3_progress_handler(
            handle, Self.stepsBetweenLooks,
            { context in
                let database = Unmanaged<Database>.fromOpaque(context!).takeUnretainedValue()
                return Clock.monotonicNanoseconds() > database.deadlineNanoseconds ? 1 : 0
            }, Unmanaged.passUnretained(self).toOpaque())
        defer { sqlite3_progress_handler(handle, 0, nil, nil) }
        return try body()
    }

    /// When the statements of `within` must have ended, on the monotonic clock.
    private var deadlineNanoseconds: UInt64 = 0
    /// Steps of SQLite's machine between looks at the clock: a millisecond or so.
    private static let stepsBetweenLooks: Int32 = 10_000

    package var lastInsertedID: Int64 { sqlite3_last_insert_rowid(handle) }
    package var changes: Int { Int(sqlite3_changes(handle)) }

    func error(_ code: Int32, _ what: String) -> DatabaseError {
        let text = handle.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
        let kind: DatabaseError.Kind =
            switch code & 0xFF {
            case SQLITE_FULL: .full
            case SQLITE_BUSY, SQLITE_LOCKED: .busy
            case SQLITE_CORRUPT, SQLITE_NOTADB: .corrupt
            case SQLITE_INTERRUPT: .tooLong
            // No room for the shared memory beside the database, for one.
            case SQLITE_IOERR, SQLITE_CANTOPEN:
                handle.map { [ENOSPC, EDQUOT].contains(sqlite3_system_errno($0)) } ?? false ? .full : .other
            default: .other
            }
        return DatabaseError(kind: kind, message: "\(text) (\(what.prefix(200)))")
    }
}

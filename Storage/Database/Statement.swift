// SPDX-License-Identifier: Apache-2.0
import CSQLite

/// A prepared statement: bind, step, read, and it is as new again after the run.
package final class Statement {
    private let handle: OpaquePointer
    private unowned let database: Database
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    init(_ handle: OpaquePointer, _ database: Database) {
        self.handle = handle
        self.database = database
    }

    deinit { sqlite3_finalize(handle) }

    /// A value to bind.
    package enum Value: Sendable {
        case null
        case integer(Int64)
        case text(String)
        case blob([UInt8])

        package init(_ text: String?) { self = text.map { .text($0) } ?? .null }
    }

    /// Runs a statement that gives no rows.
    package func run(_ values: [Value]) throws(DatabaseError) {
        bind(values)
        defer { reset() }
        let result = sqlite3_step(handle)
        guard result == SQLITE_DONE || result == SQLITE_ROW else { throw database.error(result, sql) }
    }

    /// Runs and hands out each row until `body` says false.
    package func forEach(_ values: [Value], _ body: (Statement) throws(DatabaseError) -> Bool) throws(DatabaseError) {
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
    @inlinable package func first<Result>(_ values: [Value], _ body: (Statement) -> Result) throws(DatabaseError)
        -> Result?
    {
        var found: Result?
        try forEach(values) { row throws(DatabaseError) in
            found = body(row)
            return false
        }
        return found
    }

    package func integer(_ column: Int) -> Int64 { sqlite3_column_int64(handle, Int32(column)) }
    package func isNull(_ column: Int) -> Bool { sqlite3_column_type(handle, Int32(column)) == SQLITE_NULL }

    package func text(_ column: Int) -> String? {
        guard let text = sqlite3_column_text(handle, Int32(column)) else { return nil }
        let count = Int(sqlite3_column_bytes(handle, Int32(column)))
        return String(decoding: UnsafeRawBufferPointer(start: text, count: count), as: UTF8.self)
    }

    package func blob(_ column: Int) -> [UInt8] {
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

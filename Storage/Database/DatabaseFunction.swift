// SPDX-License-Identifier: Apache-2.0
import CSQLite

/// A question about two texts that SQL on a connection may ask, `name(first, second)`: 1 for yes, 0 for no or NULL.
package struct DatabaseFunction: Sendable {
    package typealias Body = @Sendable (_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Bool

    private final class Context: Sendable {
        let body: Body
        init(_ body: @escaping Body) { self.body = body }
    }

    private let name: String
    private let context: Context

    /// - Parameter body: answers the same for the same texts; the bytes are UTF-8.
    package init(_ name: String, _ body: @escaping Body) {
        self.name = name
        context = Context(body)
    }

    func register(on handle: OpaquePointer?) {
        sqlite3_create_function_v2(
            handle, name, 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, Unmanaged.passRetained(context).toOpaque(),
            { call, _, arguments in
                let context = Unmanaged<Context>.fromOpaque(sqlite3_user_data(call)!).takeUnretainedValue()
                var isSo = false
                if let first = text(arguments![0]), let second = text(arguments![1]) {
                    isSo = context.body(first, second)
                }
                sqlite3_result_int(call, isSo ? 1 : 0)
            }, nil, nil, { Unmanaged<Context>.fromOpaque($0!).release() })
    }
}

private func text(_ value: OpaquePointer?) -> UnsafeRawBufferPointer? {
    guard let text = sqlite3_value_text(value) else { return nil }
    return UnsafeRawBufferPointer(start: text, count: Int(sqlite3_value_bytes(value)))
}

// SPDX-License-Identifier: Apache-2.0
import Database

/// Conditions that must all hold, and the values that are bound in them.
struct SQLConjunction {
    private(set) var texts: [String] = []
    private(set) var values: [Statement.Value] = []

    var isEmpty: Bool { texts.isEmpty }

    /// All of them as one.
    var condition: SQLCondition {
        SQLCondition(sql: texts.isEmpty ? "1" : texts.joined(separator: " AND "), values: values)
    }

    mutating func add(_ text: String, _ bound: [Statement.Value] = []) {
        texts.append(text)
        values += bound
    }

    mutating func add(_ condition: SQLCondition) { add(condition.sql, condition.values) }

    // MARK: Values of a column

    mutating func addText(_ column: String, _ match: CatalogMatch) {
        switch match {
        case .equals(let value): add(column + " = ?", [.text(value)])
        case .anyOf(let list):
            add("\(column) IN (\(list.map { _ in "?" }.joined(separator: ", ")))", list.map { .text($0) })
        case .wildcard(let pattern):
            addPrefix(column, pattern)
            add("matches(?, \(column))", [.text(pattern)])
        case .range(let from, let to):
            addBound(column, ">=", from)
            addBound(column, "<=", to)
        }
    }

    /// "1015" as an upper bound takes in all of that minute: no digit or point sorts behind a colon.
    mutating func addTime(_ column: String, _ match: CatalogMatch) {
        guard case .range(let from, let to) = match else { return addText(column, match) }
        addBound(column, ">=", from)
        addBound(column, "<", to.map { $0 + ":" })
    }

    mutating func addBound(_ column: String, _ comparison: String, _ value: String?) {
        guard let value else { return }
        add("\(column) \(comparison) ?", [.text(value)])
    }

    /// The literal beginning of a pattern as a range that an index can serve.
    private mutating func addPrefix(_ column: String, _ pattern: String) {
        let prefix = Self.literalBeginning(pattern)
        guard !prefix.isEmpty else { return }
        add("\(column) >= ? AND \(column) < ?", [.text(prefix), .text(prefix + "\u{10FFFF}")])
    }

    private static func literalBeginning(_ pattern: String) -> String {
        // Ending before an ASCII byte, it is whole characters.
        String(Substring(pattern.utf8.prefix { $0 != UInt8(ascii: "*") && $0 != UInt8(ascii: "?") }))
    }

    /// Names of physicians: as a whole or by any component group. The beginning bounds the index of those whose first
    /// group it may be; the few names of several groups have an index of their own.
    mutating func addName(_ column: String, _ match: CatalogMatch) {
        switch match {
        case .equals(let value), .wildcard(let value):
            let prefix = Self.literalBeginning(value)
            if !prefix.isEmpty {
                add(
                    "(\(column) >= ? AND \(column) < ? OR instr(\(column), '=') > 0)",
                    [.text(prefix), .text(prefix + "\u{10FFFF}")])
            }
            add("matches_name(?, \(column))", [.text(value)])
        case .anyOf, .range: addText(column, match)
        }
    }
}

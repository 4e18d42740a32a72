// SPDX-License-Identifier: Apache-2.0

/// The texts of scopes' conditions, made once for each form: to put them together takes as long as to look a study up.
/// One thread at a time.
final class ScopeTexts {
    private var texts: [Int: (sql: String, count: Int)] = [:]
    private static let textsMaximum = 1000

    /// - Parameters:
    ///   - form: all that the text depends on.
    ///   - conditions: made if they are not known; all have the same values.
    /// - Returns: all of them as one, and how many there are.
    func text(_ form: Int, _ conditions: () -> [SQLCondition]) -> (sql: String, count: Int) {
        if let known = texts[form] { return known }
        if texts.count >= Self.textsMaximum { texts.removeAll() }
        let made = conditions()
        let text = (made.map(\.sql).joined(separator: " AND "), made.count)
        texts[form] = text
        return text
    }
}

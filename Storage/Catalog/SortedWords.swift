// SPDX-License-Identifier: Apache-2.0

/// Words, some of them several times, for the question how many begin with some letters.
struct SortedWords: Sendable {
    /// By bytes, as SQLite orders them.
    private let words: [[UInt8]]

    init(_ words: [String] = []) {
        self.words = words.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
    }

    func count(beginning prefix: String) -> Int {
        let prefix = Array(prefix.utf8)
        let start = firstIndex { !$0.lexicographicallyPrecedes(prefix) }
        let end = firstIndex { !$0.lexicographicallyPrecedes(prefix) && !$0.starts(with: prefix) }
        return end - start
    }

    /// - Parameter isBehind: false for those at the beginning, true for all others.
    private func firstIndex(where isBehind: ([UInt8]) -> Bool) -> Int {
        var (low, high) = (0, words.count)
        while low < high {
            let middle = (low + high) / 2
            if isBehind(words[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

// SPDX-License-Identifier: Apache-2.0

/// The words of the command line. Each is taken once; what is left over is a mistake.
struct OptionWords {
    typealias Mistake = LoadOptions.Mistake

    private var words: [String]

    init(_ words: [String]) { self.words = words }

    var count: Int { words.count }

    mutating func value(_ option: String) throws(Mistake) -> String? {
        if let index = words.firstIndex(where: { $0.hasPrefix(option + "=") }) {
            return String(words.remove(at: index).dropFirst(option.count + 1))
        }
        guard let index = words.firstIndex(of: option) else { return nil }
        guard index + 1 < words.count else { throw Mistake(description: "\(option) wants a value; see --help") }
        words.remove(at: index)
        return words.remove(at: index)
    }

    mutating func number(_ option: String, _ range: ClosedRange<Int>) throws(Mistake) -> Int? {
        guard let text = try value(option) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw Mistake(description: "\(option) wants a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    mutating func flag(_ option: String) -> Bool {
        guard let index = words.firstIndex(of: option) else { return false }
        words.remove(at: index)
        return true
    }

    func end() throws(Mistake) {
        if let word = words.first { throw Mistake(description: "unknown option or word \(word); see --help") }
    }
}

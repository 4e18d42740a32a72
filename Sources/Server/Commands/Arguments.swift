// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// The words behind a subcommand. Each is taken once; what is left over is a mistake.
package struct Arguments {
    package enum Failure: Error, CustomStringConvertible {
        case helpWanted(String)
        case unknown(String)
        case missingValue(String)
        case wrong(String)

        package var description: String {
            switch self {
            case .helpWanted(let text): text
            case .unknown(let word): "unknown option or word \(word); see --help"
            case .missingValue(let option): "\(option) wants a value; see --help"
            case .wrong(let what): what
            }
        }
    }

    private var words: [String]

    package init(_ words: [String]) { self.words = words }

    /// Ends with the help text if that was asked for.
    mutating func help(_ text: String) throws(Failure) {
        if words.contains("--help") || words.contains("-h") { throw .helpWanted(text) }
    }

    mutating func value(_ option: String) throws(Failure) -> String? {
        if let index = words.firstIndex(where: { $0.hasPrefix(option + "=") }) {
            return String(words.remove(at: index).dropFirst(option.count + 1))
        }
        guard let index = words.firstIndex(of: option) else { return nil }
        guard index + 1 < words.count else { throw .missingValue(option) }
        words.remove(at: index)
        return words.remove(at: index)
    }

    /// All that an option says, given once or often, with commas between or not.
    mutating func values(_ option: String) throws(Failure) -> [String] {
        var all: [String] = []
        while let value = try value(option) { all += value.split(separator: ",").map(String.init) }
        return all
    }

    mutating func flag(_ option: String) -> Bool {
        guard let index = words.firstIndex(of: option) else { return false }
        words.remove(at: index)
        return true
    }

    mutating func rest() throws(Failure) -> [String] {
        if let option = words.first(where: { $0.hasPrefix("-") && $0.count > 1 }) { throw .unknown(option) }
        defer { words = [] }
        return words
    }

    func end() throws(Failure) {
        if let word = words.first { throw .unknown(word) }
    }

    /// The configuration that `--config` and the environment give, with `--data` over it.
    mutating func configuration() throws -> Configuration {
        var configuration = try Configuration(
            file: try value("--config"), environment: ProcessInfo.processInfo.environment)
        if let data = try value("--data") { configuration.data = data }
        return configuration
    }
}

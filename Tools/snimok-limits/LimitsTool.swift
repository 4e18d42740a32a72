// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Glibc
import Platform
import Transport

/// `snimok-limits …`
enum LimitsTool {
    private static let help = """
        usage: snimok-limits LIMIT [OPTIONS]

        Peers that do nothing but what the protocol wants, until they are killed. Each prints "ready PORT".
          null-acceptor                    takes C-STOREs, discards them, and answers success
          null-provider --folder DIR [--destination HOST:PORT]
                                           answers every C-GET and C-MOVE with the DICOM files below DIR, which it
                                           holds in memory as the PDUs that go out

        Limits of the machine, as JSON.
          append --file F --bytes N --count N [--direct yes]
                                                appends so many bytes and syncs, so many times
          hash --bytes N --seconds N            hashes as the archive does, again and again
          loopback --seconds N                  copies through a TCP connection

        Exit codes: 0 done, 1 failed, 2 wrong usage.
        """

    static func run(_ words: [String]) -> Int32 {
        guard let limit = words.first, !words.contains("--help") else {
            print(help)
            return words.isEmpty ? 2 : 0
        }
        do {
            let options = try LimitOptions(words.dropFirst())
            switch limit {
            case "null-acceptor": try NullAcceptor.run()
            case "null-provider":
                try NullProvider(folder: options.text("--folder"), destination: options.endpoint("--destination")).run()
            case "append":
                try report(
                    MachineLimits.append(
                        file: options.text("--file"), bytes: options.number("--bytes"),
                        count: options.number("--count"),
                        isDirect: options.has("--direct")
                    ))
            case "hash":
                try report(
                    MachineLimits.hash(bytes: options.number("--bytes"), seconds: Double(options.number("--seconds"))))
            case "loopback": try report(MachineLimits.loopback(seconds: Double(options.number("--seconds"))))
            default: throw LimitOptions.Mistake(description: "unknown limit \(limit); see --help")
            }
            return 0
        } catch let mistake as LimitOptions.Mistake {
            complain(mistake.description)
            return 2
        } catch {
            complain("\(error)")
            return 1
        }
    }

    private static func report(_ figures: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        print(String(decoding: try encoder.encode(figures), as: UTF8.self))
    }

    private static func complain(_ sentence: String) {
        let line = "snimok-limits: \(sentence)\n"
        _ = line.withCString { write(2, $0, strlen($0)) }
    }
}

/// `--name value` pairs.
struct LimitOptions {
    struct Mistake: Error, CustomStringConvertible {
        let description: String
    }

    private var values: [String: String] = [:]

    init(_ words: ArraySlice<String>) throws(Mistake) {
        var rest = words
        while let name = rest.popFirst() {
            guard name.hasPrefix("--"), let value = rest.popFirst() else {
                throw Mistake(description: "\(name) wants a value; see --help")
            }
            values[name] = value
        }
    }

    func text(_ name: String) throws(Mistake) -> String {
        guard let value = values[name] else { throw Mistake(description: "\(name) is missing; see --help") }
        return value
    }

    func has(_ name: String) -> Bool { values[name] != nil }

    func number(_ name: String) throws(Mistake) -> Int {
        guard let number = Int(try text(name)), number > 0 else {
            throw Mistake(description: "\(name) wants a number above 0")
        }
        return number
    }

    func endpoint(_ name: String) throws(Mistake) -> Endpoint? {
        guard let value = values[name] else { return nil }
        guard let colon = value.lastIndex(of: ":"), let port = UInt16(value[value.index(after: colon)...]) else {
            throw Mistake(description: "\(name) wants HOST:PORT")
        }
        return .tcp(host: String(value[..<colon]), port: port)
    }
}

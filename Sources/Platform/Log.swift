// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// The log: one line an event on stderr, `<6>2026-11-21T10:15:30.123Z association=17 event="…" key="value"`, with
/// the priority prefix that systemd reads. Values are escaped, so that nothing from the wire breaks a line or steers a
/// terminal; names of patients are never passed in.
package enum Log {
    /// syslog priorities.
    package enum Level: Int, Sendable {
        case error = 3
        case warning = 4
        case info = 6
        case debug = 7
    }

    /// Levels above this one are dropped.
    package static let threshold = Atomic<Int>(Level.info.rawValue)

    package static func error(_ event: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.error, event, fields)
    }
    package static func warning(_ event: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.warning, event, fields)
    }
    package static func info(_ event: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.info, event, fields)
    }
    package static func debug(
        _ event: @autoclosure () -> String, _ fields: @autoclosure () -> KeyValuePairs<String, String>
    ) {
        guard threshold.load(ordering: .relaxed) >= Level.debug.rawValue else { return }
        write(.debug, event(), fields())
    }

    private static func write(_ level: Level, _ event: String, _ fields: KeyValuePairs<String, String>) {
        guard level.rawValue <= threshold.load(ordering: .relaxed) else { return }
        var line = "<\(level.rawValue)>\(Clock.timestamp()) event=\(quoted(event))"
        for (key, value) in fields { line += " \(key)=\(quoted(value))" }
        line += "\n"
        // One write, so that the lines of two threads never mix.
        line.withUTF8 { bytes in _ = Glibc.write(2, bytes.baseAddress, bytes.count) }
    }

    /// In quotes; control characters, quotes, backslashes and the marks that turn text around are escaped.
    package static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars.prefix(1024) {
            if scalar == "\"" || scalar == "\\" { result += "\\" }
            append(scalar, to: &result)
        }
        return result + "\""
    }

    /// A sentence for a terminal, in which text from the wire may stand: as `quoted`, without quotes, and lines stay lines.
    package static func plain(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar == "\n" { result += "\n" } else { append(scalar, to: &result) }
        }
        return result
    }

    private static func append(_ scalar: UnicodeScalar, to result: inout String) {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
            result += "\\u{\(String(scalar.value, radix: 16))}"
        default: result.unicodeScalars.append(scalar)
        }
    }
}

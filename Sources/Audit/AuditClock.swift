// SPDX-License-Identifier: Apache-2.0
import Platform

/// `Clock.timestamp`, which works out the calendar, once a second.
final class AuditClock: Sendable {
    private let last = Monitor<(second: Int64, text: String)>((-1, ""))

    func timestamp() -> String {
        let now = Clock.wallNanoseconds()
        let second = now / 1_000_000_000
        let prefix = last.withLock { last in
            if last.second != second { last = (second, String(Clock.timestamp(now).prefix(20))) }
            return last.text
        }
        let milliseconds = now / 1_000_000 % 1000
        return prefix + (milliseconds < 10 ? "00" : milliseconds < 100 ? "0" : "") + String(milliseconds) + "Z"
    }
}

// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The two clocks: one for durations and deadlines, one for what is written down.
package enum Clock {
    /// Nanoseconds that never step back.
    package static func monotonicNanoseconds() -> UInt64 { read(CLOCK_MONOTONIC) }

    /// Nanoseconds since 1970 in UTC.
    package static func wallNanoseconds() -> Int64 { Int64(read(CLOCK_REALTIME)) }

    /// Nanoseconds between two readings of the monotonic clock; none, if another thread has made the earlier one since.
    package static func elapsed(since earlier: UInt64, now: UInt64) -> UInt64 { now > earlier ? now - earlier : 0 }

    /// A deadline so many seconds from now, on the monotonic clock.
    package static func deadline(seconds: Double) -> UInt64 { monotonicNanoseconds() + UInt64(seconds * 1e9) }

    /// Returns at that time of the monotonic clock, to the precision of the system's timers.
    package static func sleep(until nanoseconds: UInt64) {
        var time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil) == EINTR {}
    }

    /// `2026-11-21T10:15:30.123Z`
    package static func timestamp(_ nanoseconds: Int64 = wallNanoseconds()) -> String {
        var seconds = time_t(nanoseconds / 1_000_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func padded(_ value: Int32, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
        let time = "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))"
        return "\(date)T\(time).\(padded(Int32(nanoseconds / 1_000_000 % 1000), 3))Z"
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

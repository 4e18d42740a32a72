// SPDX-License-Identifier: Apache-2.0
import Platform

/// The clocks that access goes by; tests set their own.
package struct AccessClock: Sendable {
    /// Nanoseconds since 1970: what expires.
    package var wall: @Sendable () -> Int64
    /// Nanoseconds that never step back: what waits.
    package var monotonic: @Sendable () -> UInt64

    package init(
        wall: @escaping @Sendable () -> Int64 = { Clock.wallNanoseconds() },
        monotonic: @escaping @Sendable () -> UInt64 = { Clock.monotonicNanoseconds() }
    ) {
        self.wall = wall
        self.monotonic = monotonic
    }
}

// SPDX-License-Identifier: Apache-2.0

/// A rate that several threads keep together: whoever uses more than is due waits until it is.
package final class RateLimit: Sendable {
    /// What may be taken at once after a time in which nothing was.
    private static let burstSeconds = 0.25

    private let nanosecondsPerUnit: Double
    /// When what was taken so far is due, on the monotonic clock.
    private let due = Monitor<UInt64>(0)

    /// - Parameter perSecond: above 0.
    package init(perSecond: Double) {
        precondition(perSecond > 0)
        nanosecondsPerUnit = 1e9 / perSecond
    }

    /// - Returns: when so many are due, on the monotonic clock; `now` if they are.
    package func reserve(_ count: Int, at now: UInt64 = Clock.monotonicNanoseconds()) -> UInt64 {
        due.withLock { due in
            // After a pause no more than the burst is due at once.
            let begin = max(due, now - min(now, UInt64(Self.burstSeconds * 1e9)))
            due = begin + UInt64(Double(count) * nanosecondsPerUnit)
            return due > now ? due : now
        }
    }
}

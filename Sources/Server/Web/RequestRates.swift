// SPDX-License-Identifier: Apache-2.0
import Platform

/// How many requests a second come from each address. More than a second's worth at once are too many.
final class RequestRates: Sendable {
    private static let addressesMaximum = 10_000
    private static let secondNanoseconds: UInt64 = 1_000_000_000

    private let nanosecondsPerRequest: UInt64
    /// When what has come from an address so far was due, on the monotonic clock.
    private let due = Monitor<[String: UInt64]>([:])

    /// - Parameter perSecond: above 0.
    init(perSecond: Double) {
        precondition(perSecond > 0)
        nanosecondsPerRequest = UInt64(Double(Self.secondNanoseconds) / perSecond)
    }

    /// Counts a request; false: it is one too many, and not counted.
    func take(_ address: String, at now: UInt64 = Clock.monotonicNanoseconds()) -> Bool {
        due.withLock { due in
            let begin = max(due[address] ?? 0, now - min(now, Self.secondNanoseconds))
            guard begin <= now else { return false }
            if due.count >= Self.addressesMaximum {
                due = due.filter { $0.value + Self.secondNanoseconds > now }
                // Nobody has so many addresses but to be counted by none of them.
                if due.count >= Self.addressesMaximum { due = [:] }
            }
            due[address] = begin + nanosecondsPerRequest
            return true
        }
    }
}

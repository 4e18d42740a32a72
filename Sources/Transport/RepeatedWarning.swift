// SPDX-License-Identifier: Apache-2.0
import Platform

/// Warnings that strangers can cause as often as they like. The first of an address and reason is written at once; its
/// repetitions are counted, and told with the first one after a pause.
package final class RepeatedWarning: Sendable {
    private struct Seen {
        var until: UInt64
        var dropped = 0
    }

    private static let pauseSeconds = 10.0
    /// Addresses and reasons that are told apart; more of them share one entry.
    private static let keysMaximum = 1000

    private let event: String
    private let seen = Monitor<[String: Seen]>([:])

    package init(_ event: String) { self.event = event }

    package func write(peer: String, why: String) {
        let now = Clock.monotonicNanoseconds()
        let dropped: Int? = seen.withLock { seen in
            if seen.count >= Self.keysMaximum { seen = seen.filter { $0.value.until > now } }
            let key = seen.count < Self.keysMaximum ? "\(peer) \(why)" : ""
            if let before = seen[key], before.until > now {
                seen[key]!.dropped += 1
                return nil
            }
            let dropped = seen[key]?.dropped ?? 0
            seen[key] = Seen(until: Clock.deadline(seconds: Self.pauseSeconds))
            return dropped
        }
        guard let dropped else { return }
        if dropped == 0 { return Log.warning(event, ["peer": peer, "why": why]) }
        Log.warning(event, ["peer": peer, "why": why, "notWritten": "\(dropped)"])
    }
}

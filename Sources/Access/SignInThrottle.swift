// SPDX-License-Identifier: Apache-2.0
import Platform

/// Makes guessing slow without locking anybody out. What is wrong too often has to wait, twice as long each time up to a
/// minute, and an attempt before its time is refused without being looked at:
///
/// - a name from an address, after a few wrong passwords;
/// - an address, whatever the names, after more;
/// - a name, wherever from, after still more, but never from addresses where its owner has signed in lately: strangers
///   can slow down a user's first sign-in from a new place to one a minute, and nothing else.
///
/// Each attempt counts as wrong from its beginning, so that many at once are no way around.
final class SignInThrottle: Sendable {
    private enum Key: Hashable {
        case pair(user: String, address: String)
        case address(String)
        case user(String)

        /// Wrong attempts without a wait.
        var free: Int {
            switch self {
            case .pair: 5
            case .address: 30
            case .user: 50
            }
        }
    }

    private struct Entry {
        var attempts = 0
        var blockedUntil: UInt64 = 0
        var lastAttempt: UInt64 = 0
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        /// Where users have signed in, and when.
        var known: [Key: UInt64] = [:]
    }

    static let longestSeconds: UInt64 = 60
    /// What was wrong is forgotten after so long without another attempt.
    private static let memorySeconds: UInt64 = 15 * 60
    private static let knownSeconds: UInt64 = 30 * 24 * 3600
    private static let entriesMaximum = 20_000
    private static let second: UInt64 = 1_000_000_000

    private let clock: AccessClock
    private let state = Monitor(State())

    init(_ clock: AccessClock) { self.clock = clock }

    /// An attempt begins.
    /// - Returns: how many seconds it is too early; nil: it is not.
    func begin(_ user: String, at address: String) -> Int? {
        let now = clock.monotonic()
        return state.withLock { state in
            let pair = Key.pair(user: user, address: address)
            var keys = [pair, .address(address)]
            if !Self.isKnown(pair, state, now) { keys.append(.user(user)) }
            let blockedUntil = keys.map { state.entries[$0]?.blockedUntil ?? 0 }.max()!
            if blockedUntil > now { return Int((blockedUntil - now + Self.second - 1) / Self.second) }
            for key in keys { Self.count(key, &state, now) }
            return nil
        }
    }

    /// The attempt was right: it does not count, and neither do wrong ones before it of that name at that address.
    func succeeded(_ user: String, at address: String) {
        let now = clock.monotonic()
        state.withLock { state in
            let pair = Key.pair(user: user, address: address)
            state.entries[pair] = nil
            for key in [Key.address(address), .user(user)] {
                guard var entry = state.entries[key] else { continue }
                entry.attempts = max(0, entry.attempts - 1)
                if entry.attempts <= key.free { entry.blockedUntil = 0 }
                state.entries[key] = entry.attempts == 0 ? nil : entry
            }
            if state.known.count >= Self.entriesMaximum { state.known.removeAll() }
            state.known[pair] = now
        }
    }

    private static func isKnown(_ pair: Key, _ state: State, _ now: UInt64) -> Bool {
        state.known[pair].map { Clock.elapsed(since: $0, now: now) < knownSeconds * second } ?? false
    }

    private static func count(_ key: Key, _ state: inout State, _ now: UInt64) {
        var entry = state.entries[key] ?? Entry()
        if Clock.elapsed(since: entry.lastAttempt, now: now) > memorySeconds * second { entry = Entry() }
        entry.attempts += 1
        entry.lastAttempt = now
        let excess = entry.attempts - key.free
        if excess > 0 { entry.blockedUntil = now + min(longestSeconds, 1 << UInt64(min(excess - 1, 20))) * second }
        if state.entries.count >= entriesMaximum, state.entries[key] == nil { makeRoom(&state, now) }
        state.entries[key] = entry
    }

    private static func makeRoom(_ state: inout State, _ now: UInt64) {
        state.entries = state.entries.filter {
            Clock.elapsed(since: $0.value.lastAttempt, now: now) <= memorySeconds * second
        }
        guard state.entries.count >= entriesMaximum else { return }
        // Half of them, the oldest: looking for one each time would cost more than an attempt.
        let times = state.entries.values.map(\.lastAttempt).sorted()
        let median = times[times.count / 2]
        state.entries = state.entries.filter { $0.value.lastAttempt > median }
    }
}

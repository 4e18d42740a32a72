// SPDX-License-Identifier: Apache-2.0
import Platform

/// Remembers for a short time that a password was right, so that HTTP Basic does not cost an Argon2 computation with each
/// request. It holds keyed digests only, under a key that never leaves this memory; the digest covers the stored hash, so
/// nothing outlives a change of the password. A right password that comes many times at
/// once is worked on once.
final class VerificationCache: Sendable {
    private enum Entry {
        case pending
        /// Until this time of the monotonic clock.
        case right(until: UInt64)
    }

    private static let rememberedSeconds: UInt64 = 300
    private static let entriesMaximum = 4096

    private let key = Secret.random()
    private let clock: AccessClock
    private let entries = Monitor<[[UInt8]: Entry]>([:])

    init(_ clock: AccessClock) { self.clock = clock }

    /// - Parameters:
    ///   - hash: as it is stored; nil: there is no such user.
    ///   - verify: finds out; called by one at a time of those who ask the same.
    /// - Returns: whether it is right.
    func isRight(
        _ name: String, _ password: String, _ hash: String?, verify: () throws(AccessError) -> Bool
    ) throws(AccessError) -> Bool {
        let question = digest([name, password, hash ?? ""])
        let known = entries.wait { entries -> Bool?? in
            switch entries[question] {
            case .pending?: return nil
            case .right(let until)? where until > self.clock.monotonic(): return true
            default:
                self.makeRoom(&entries)
                entries[question] = .pending
                return .some(nil)
            }
        }
        if let known, let known { return known }
        var isRight = false
        defer {
            let answer: Entry? =
                isRight ? .right(until: clock.monotonic() + Self.rememberedSeconds * 1_000_000_000) : nil
            entries.update { $0[question] = answer }
        }
        isRight = try verify()
        return isRight
    }

    private func makeRoom(_ entries: inout [[UInt8]: Entry]) {
        guard entries.count >= Self.entriesMaximum else { return }
        entries = entries.filter { if case .pending = $0.value { true } else { false } }
    }

    private func digest(_ parts: [String]) -> [UInt8] {
        var message: [UInt8] = []
        for part in parts {
            let bytes = Array(part.utf8)
            // With lengths, so that no two questions are the same bytes.
            message += withUnsafeBytes(of: UInt64(bytes.count)) { Array($0) } + bytes
        }
        return Secret.digest(message, key: key)
    }
}

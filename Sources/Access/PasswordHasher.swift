// SPDX-License-Identifier: Apache-2.0
import CSodium
import Platform

/// Passwords as Argon2id (RFC 9106). Each computation takes memory on purpose, so few run at once and few wait.
package final class PasswordHasher: Sendable {
    package struct Cost: Sendable {
        /// Passes over the memory, and the memory of one computation: the second choice of RFC 9106 section 4 but for its
        /// lanes, of which libsodium has one.
        package var passes: UInt64 = 3
        package var memoryBytes = 64 << 20
        package var runningMaximum = 2
        package var waitingMaximum = 64

        package init() {}
    }

    /// Longer ones are no passwords, and would be hashed all the same.
    package static let passwordMaximumBytes = 1024

    private struct Load {
        var running = 0
        var waiting = 0
    }

    private let cost: Cost
    private let load = Monitor(Load())
    /// Of no user: what a password is held against where there is no user of the name.
    private let decoy: String

    package init(_ cost: Cost = Cost()) {
        self.cost = cost
        decoy = Self.decoy(cost)
    }

    /// A hash that nobody computed, so that a start does not take the time and memory of one: checking a password against it
    /// takes what the cost says, and no password has it.
    private static func decoy(_ cost: Cost) -> String {
        func text(_ count: Int) -> String {
            var bytes = [UInt8](repeating: 0, count: count)
            randombytes_buf(&bytes, count)
            var text = [CChar](repeating: 0, count: count * 2)
            sodium_bin2base64(&text, text.count, bytes, count, sodium_base64_VARIANT_ORIGINAL_NO_PADDING)
            return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        }
        return "$argon2id$v=19$m=\(cost.memoryBytes >> 10),t=\(cost.passes),p=1$\(text(16))$\(text(32))"
    }

    package func hash(_ password: String) throws(AccessError) -> String {
        try limited { () throws(AccessError) in try Self.compute(password, cost) }
    }

    /// - Parameter hash: nil: there is no such user; it takes as long and is wrong.
    package func isRight(_ password: String, for hash: String?) throws(AccessError) -> Bool {
        try limited { () throws(AccessError) in
            let letters = password.utf8.map { CChar(bitPattern: $0) }
            return crypto_pwhash_str_verify(hash ?? self.decoy, letters, UInt64(letters.count)) == 0 && hash != nil
        }
    }

    private static func compute(_ password: String, _ cost: Cost) throws(AccessError) -> String {
        let letters = password.utf8.map { CChar(bitPattern: $0) }
        var text = [CChar](repeating: 0, count: Int(crypto_pwhash_STRBYTES))
        let result = crypto_pwhash_str_alg(
            &text, letters, UInt64(letters.count), cost.passes, cost.memoryBytes, Int32(crypto_pwhash_ALG_ARGON2ID13))
        guard result == 0 else { throw .unavailable("there is not enough memory to check a password") }
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    private func limited<Result>(_ body: () throws(AccessError) -> Result) throws(AccessError) -> Result {
        let isTaken = load.withLock { load in
            guard load.waiting < cost.waitingMaximum else { return false }
            load.waiting += 1
            return true
        }
        guard isTaken else { throw .busy }
        load.wait { load -> Void? in
            guard load.running < cost.runningMaximum else { return nil }
            load.running += 1
            load.waiting -= 1
            return ()
        }
        defer { load.update { $0.running -= 1 } }
        return try body()
    }
}

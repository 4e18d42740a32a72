// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Lets nobody change anything but the session that holds the lock now, and that only through files which it has opened
/// since it got it: what an earlier holder still has on its way comes too late.
final class ReceiverFence: Sendable {
    private struct State {
        /// Grows whenever the lock is taken.
        var term: UInt64 = 0
        var holder: (connection: UInt64, session: [UInt8])?
        /// Changes that are being made.
        var running = 0
    }

    static let refusal = ENOLCK
    private let state = Monitor(State())

    /// The term in which a session may change something; nil: it may not.
    func term(of session: [UInt8]) -> UInt64? {
        state.withLock { $0.holder?.session == session ? $0.term : nil }
    }

    /// - Parameter term: what it was when the file was opened; nil: it is about no open file.
    func change<Result>(
        by session: [UInt8], term: UInt64?, _ body: () throws(SystemError) -> Result
    ) throws(SystemError) -> Result {
        let isAllowed = state.withLock { state in
            guard state.holder?.session == session, term == nil || term == state.term else { return false }
            state.running += 1
            return true
        }
        guard isAllowed else { throw SystemError("change without the lock", code: Self.refusal) }
        defer { state.update { $0.running -= 1 } }
        return try body()
    }

    /// - Parameter lock: locks the file.
    func take(_ connection: UInt64, _ session: [UInt8], lock: () -> Bool) -> Bool {
        state.withLock { state in
            // Another file may have come to stand in the place of the one that is locked.
            guard state.holder == nil, state.running == 0, lock() else { return false }
            state.term += 1
            state.holder = (connection, session)
            return true
        }
    }

    /// Before the file is unlocked. What is being changed is waited for.
    func giveBack(_ connection: UInt64) {
        let wasHolder = state.update { state in
            guard state.holder?.connection == connection else { return false }
            state.holder = nil
            return true
        }
        if wasHolder { state.wait { $0.running == 0 ? () : nil } }
    }
}

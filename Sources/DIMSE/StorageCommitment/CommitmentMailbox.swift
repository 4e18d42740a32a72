// SPDX-License-Identifier: Apache-2.0
import Platform

/// Results that wait to be told on the association on which they were asked for. Only the association's own thread sends
/// them, between two messages; other threads put them in and may take them out again.
final class CommitmentMailbox: Sendable {
    private struct State {
        var waiting: [Int64] = []
        var isClosed = false
    }

    private let state = Monitor(State())

    /// - Returns: false: the association has ended.
    func offer(_ id: Int64) -> Bool {
        state.withLock { state in
            if state.isClosed { return false }
            if !state.waiting.contains(id) { state.waiting.append(id) }
            return true
        }
    }

    /// Takes a result back.
    /// - Returns: false: it has been sent, or was never here.
    func withdraw(_ id: Int64) -> Bool {
        state.withLock { state in
            guard let index = state.waiting.firstIndex(of: id) else { return false }
            state.waiting.remove(at: index)
            return true
        }
    }

    /// The next result to send.
    func next() -> Int64? { state.withLock { $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() } }

    /// The association has ended.
    /// - Returns: what was not sent.
    func close() -> [Int64] {
        state.withLock { state in
            state.isClosed = true
            defer { state.waiting.removeAll() }
            return state.waiting
        }
    }
}

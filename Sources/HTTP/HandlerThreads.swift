// SPDX-License-Identifier: Apache-2.0
import Platform

/// Threads that run handlers: as many as there are requests at once, up to a bound; then requests wait.
final class HandlerThreads: Sendable {
    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var threads = 0
        var idle = 0
        var isStopping = false
    }

    /// Kept when there is nothing to do.
    private static let idleMaximum = 16
    private static let waitingMaximum = 1000
    private let maximum: Int
    private let state = Monitor(State())

    init(maximum: Int) { self.maximum = maximum }

    /// - Returns: false: too many wait already.
    func run(_ work: @escaping @Sendable () -> Void) -> Bool {
        let decision = state.update { state -> (isTaken: Bool, needsThread: Bool) in
            guard state.waiting.count < Self.waitingMaximum, !state.isStopping else { return (false, false) }
            state.waiting.append(work)
            guard state.idle < state.waiting.count, state.threads < maximum else { return (true, false) }
            state.threads += 1
            return (true, true)
        }
        if decision.needsThread {
            do { try SystemThread(name: "http-request", stackBytes: 1 << 20) { [self] in loop() }.detach() } catch {
                // Those that run already will come to it.
                state.update { $0.threads -= 1 }
                Log.warning("no thread for a request", ["why": "\(error)"])
            }
        }
        return decision.isTaken
    }

    private func loop() {
        while let work = next() { work() }
        state.update { $0.threads -= 1 }
    }

    private func next() -> (@Sendable () -> Void)? {
        state.withLock { $0.idle += 1 }
        return state.wait { state -> (@Sendable () -> Void)?? in
            if !state.waiting.isEmpty {
                state.idle -= 1
                return state.waiting.removeFirst()
            }
            guard state.isStopping || state.idle > Self.idleMaximum else { return nil }
            state.idle -= 1
            return .some(nil)
        } ?? nil
    }

    /// Waits until all threads have ended.
    func stop() {
        state.update { $0.isStopping = true }
        state.wait { $0.threads == 0 ? true : nil }
    }
}

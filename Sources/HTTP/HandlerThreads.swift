// SPDX-License-Identifier: Apache-2.0
import Platform

/// Threads that run handlers: as many as there are requests at once, up to a bound; then requests wait.
final class HandlerThreads: Sendable {
    typealias Work = @Sendable () -> Void

    /// Where one idle thread waits, by itself: with one place for all, each request would wake all of them.
    private typealias Seat = Monitor<Order?>

    private enum Order {
        case run(Work)
        case end
    }

    private struct State {
        var waiting: [Work] = []
        /// With those that are just being started.
        var threads = 0
        /// Those that have been, idle or not.
        var working = 0
        var idle: [Seat] = []
        var isStopping = false

        /// A thread ends.
        mutating func leave() {
            threads -= 1
            working -= 1
        }
    }

    private enum Decision {
        case refused
        case waits
        case handed(to: Seat)
        case needsThread
    }

    /// Kept when there is nothing to do.
    private static let idleMaximum = 16
    private static let waitingMaximum = 1000
    private let maximum: Int
    private let state = Monitor(State())

    init(maximum: Int) { self.maximum = maximum }

    /// - Returns: false: too many wait already.
    func run(_ work: @escaping Work) -> Bool {
        let decision = state.withLock { state -> Decision in
            if state.isStopping { return .refused }
            // The one that was busy last is the warmest.
            if let seat = state.idle.popLast() { return .handed(to: seat) }
            if state.threads < maximum {
                state.threads += 1
                return .needsThread
            }
            guard state.waiting.count < Self.waitingMaximum else { return .refused }
            state.waiting.append(work)
            return .waits
        }
        switch decision {
        case .refused: return false
        case .waits: return true
        case .handed(let seat):
            seat.update { $0 = .run(work) }
            return true
        case .needsThread: return start(work)
        }
    }

    private func start(_ work: @escaping Work) -> Bool {
        do {
            try SystemThread(name: "http-request", stackBytes: 1 << 20) { [self] in loop(work) }.detach()
            return true
        } catch {
            Log.warning("no thread for a request", ["why": "\(error)"])
            let (seat, isTaken) = state.update { state -> (Seat?, Bool) in
                state.threads -= 1
                if let seat = state.idle.popLast() { return (seat, true) }
                // One that works will come to it.
                if state.working > 0 { state.waiting.append(work) }
                return (nil, state.working > 0)
            }
            seat?.update { $0 = .run(work) }
            return isTaken
        }
    }

    private func loop(_ first: @escaping Work) {
        let seat = Seat(nil)
        var work = first
        state.withLock { $0.working += 1 }
        while true {
            work()
            guard let next = next(seat) else { return }
            work = next
        }
    }

    /// - Returns: nil: the thread is to end, and is not counted any more.
    private func next(_ seat: Seat) -> Work? {
        let (work, sits) = state.update { state -> (Work?, Bool) in
            if !state.waiting.isEmpty { return (state.waiting.removeFirst(), false) }
            guard !state.isStopping, state.idle.count < Self.idleMaximum else {
                state.leave()
                return (nil, false)
            }
            state.idle.append(seat)
            return (nil, true)
        }
        guard sits else { return work }
        let order = seat.wait { order -> Order? in
            defer { order = nil }
            return order
        }!
        guard case .run(let work) = order else {
            state.update { $0.leave() }
            return nil
        }
        return work
    }

    /// Waits until all threads have ended.
    func stop() {
        let idle = state.withLock { state in
            state.isStopping = true
            defer { state.idle = [] }
            return state.idle
        }
        for seat in idle { seat.update { $0 = .end } }
        state.wait { $0.threads == 0 ? true : nil }
    }
}

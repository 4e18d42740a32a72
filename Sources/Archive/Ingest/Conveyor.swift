// SPDX-License-Identifier: Apache-2.0
import Platform

/// A thread that does one piece of work after the other, in their order, with one more waiting; it begins with the first.
final class Conveyor<Work: Sendable>: Sendable {
    private struct State {
        var waiting: Work?
        var isRunning = false
        var isEnding = false
        var failure: ArchiveError?
    }

    private let name: String
    private let body: @Sendable (Work) throws(ArchiveError) -> Void
    private let state = Monitor(State())

    init(_ name: String, _ body: @escaping @Sendable (Work) throws(ArchiveError) -> Void) {
        self.name = name
        self.body = body
    }

    /// Waits until the piece before is being worked on. After a failure no other is.
    func hand(_ work: Work) {
        startIfNeeded()
        state.wait { $0.waiting == nil || $0.failure != nil ? true : nil }
        state.update { $0.waiting = $0.failure == nil ? work : nil }
    }

    /// Waits until all that was handed over is done, or has failed.
    func end() throws(ArchiveError) {
        state.update { $0.isEnding = true }
        if let failure = state.wait({ $0.isRunning ? nil : .some($0.failure) }) ?? nil { throw failure }
    }

    private func startIfNeeded() {
        let isNeeded = state.withLock { state in
            defer { state.isRunning = state.isRunning || state.failure == nil }
            return !state.isRunning && state.failure == nil
        }
        guard isNeeded else { return }
        do {
            try SystemThread(name: name, stackBytes: 1 << 20) { [self] in
                while let work = next() {
                    do throws(ArchiveError) { try body(work) } catch { state.update { $0.failure = error } }
                }
                state.update { $0.isRunning = false }
            }.detach()
        } catch {
            state.update { state in
                state.failure = .failed("\(error)")
                state.isRunning = false
            }
        }
    }

    private func next() -> Work? {
        let next: Work?? = state.wait { state in
            if state.failure == nil, let work = state.waiting { return .some(work) }
            return state.isEnding || state.failure != nil ? .some(nil) : nil
        }
        state.update { $0.waiting = nil }
        return next ?? nil
    }
}

// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// The one thread that writes batches to the mirror while the committing thread writes them to the archive.
final class MirrorThread: Sendable {
    /// The memory behind the vectors stays until the job was waited for.
    struct Job: @unchecked Sendable {
        let link: MirrorLink
        let vectors: [iovec]
        let offset: UInt64
    }

    private enum State {
        case idle
        case waiting(Job)
        case working
        case done(SystemError?)
        case stopping
        case ended
    }

    private let state = Monitor(State.ended)

    func run() throws(SystemError) {
        state.withLock { $0 = .idle }
        try SystemThread(name: "mirror-write") { [state] in
            while let job = Self.next(state) {
                var failure: SystemError?
                do throws(SystemError) { try job.link.write(job.vectors, at: job.offset) } catch { failure = error }
                state.update { $0 = .done(failure) }
            }
            state.update { $0 = .ended }
        }.detach()
    }

    private static func next(_ state: Monitor<State>) -> Job? {
        state.wait { state -> Job?? in
            switch state {
            case .waiting(let job):
                state = .working
                return .some(job)
            case .stopping: return .some(nil)
            default: return nil
            }
        } ?? nil
    }

    func start(_ job: Job) { state.update { $0 = .waiting(job) } }

    /// Waits for the end of the job that was started.
    func wait() -> SystemError? {
        state.wait { state -> SystemError?? in
            guard case .done(let failure) = state else { return nil }
            state = .idle
            return .some(failure)
        } ?? nil
    }

    func stop() {
        state.update { if case .idle = $0 { $0 = .stopping } }
        state.wait { state -> Bool? in
            if case .ended = state { return true }
            return nil
        }
    }
}

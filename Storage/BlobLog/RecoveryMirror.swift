// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// The mirror while the log is recovered: opened when something is first wanted of it, and let go of at the end.
package final class RecoveryMirror: Sendable {
    private enum State {
        case closed
        case open(DataDirectory, LogReader)
        /// It did not answer. Each further try may take as long as a connection is waited for.
        case failed
    }

    private let mirror: Mirror?
    private let state = Monitor(State.closed)

    init(_ mirror: Mirror?) { self.mirror = mirror }

    /// Opens it anew, also after a failure: what was opened long ago may have lost its lock.
    /// - Returns: nil: it cannot be had, which is no reason not to start.
    func reopen() -> DataDirectory? {
        state.update { state in
            Self.close(&state)
            return open(&state)?.0
        }
    }

    private func open(_ state: inout State) -> (DataDirectory, LogReader)? {
        switch state {
        case .open(let directory, let reader): return (directory, reader)
        case .failed: return nil
        case .closed:
            state = .failed
            guard let mirror else { return nil }
            do throws(LogError) {
                guard try mirror.settings.isThere() else { return nil }
                let directory = try mirror.open(mayCreate: false)
                let reader = LogReader(directory)
                state = .open(directory, reader)
                return (directory, reader)
            } catch {
                mirror.note("\(error)")
                return nil
            }
        }
    }

    /// The record that the mirror has at a place of the archive's; nil: none, or it cannot be read.
    package func record(at location: RecordLocation) -> StoredRecord? {
        state.update { state in
            guard let (directory, reader) = open(&state) else { return nil }
            do throws(LogError) { return try reader.record(at: location) } catch {
                if case .system(let error) = error, error.code != ENOENT {
                    mirror?.note("\(error)")
                    directory.releaseLock()
                    state = .failed
                }
                return nil
            }
        }
    }

    /// Others may open it from here on.
    package func close() { state.update { Self.close(&$0) } }

    private static func close(_ state: inout State) {
        if case .open(let directory, _) = state { directory.releaseLock() }
        state = .closed
    }
}

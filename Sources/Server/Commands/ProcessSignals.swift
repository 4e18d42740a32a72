// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Signals that a process waits for instead of being interrupted by them.
struct ProcessSignals {
    private var set = sigset_t()

    /// Blocks them. Before any thread begins, so that all inherit it and only `wait` sees them.
    init(_ numbers: Int32...) {
        sigemptyset(&set)
        for number in numbers { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// The next one that comes.
    mutating func wait() -> Int32 {
        var received: Int32 = 0
        sigwait(&set, &received)
        return received
    }

    /// Says on stderr, in one write, that the process accepts.
    static func announce(_ line: String) { _ = line.withCString { write(2, $0, strlen($0)) } }
}

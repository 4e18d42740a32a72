// SPDX-License-Identifier: Apache-2.0
import DIMSE
import Glibc
import Platform

/// What became of the instances, gathered from all associations.
final class LoadRecord: Sendable {
    struct Tally {
        var acknowledged = 0
        var bytes = 0
        /// From the first byte sent to the response read, of each instance acknowledged.
        var nanoseconds: [UInt64] = []
        /// What was refused or went wrong, and how often.
        var complaints: [String: Int] = [:]
    }

    private let tally = Monitor(Tally())
    private let file: FileDescriptor?

    /// - Parameter path: gets a line for each success, by one system call each: whatever is killed after that, the line
    ///   stands. An older record is continued.
    init(acknowledged path: String?) throws(SystemError) {
        file = try path.map { path throws(SystemError) in
            try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: 0o644)
        }
    }

    var result: Tally { tally.withLock { $0 } }

    func acknowledge(_ answer: StoreSender.Answer, bytes: Int) throws(SystemError) {
        if let file {
            // O_APPEND: lines of several threads do not mix.
            let line = answer.sopInstanceUID + "\n"
            try retryingInterrupts("write", file.path) { line.withCString { write(file.raw, $0, strlen($0)) } }
        }
        count(bytes: bytes, nanoseconds: answer.nanoseconds)
    }

    func count(bytes: Int, nanoseconds: UInt64) {
        tally.withLock {
            $0.acknowledged += 1
            $0.bytes += bytes
            $0.nanoseconds.append(nanoseconds)
        }
    }

    func complain(_ what: String) { tally.withLock { $0.complaints[what, default: 0] += 1 } }
}

// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A system call that failed: which one, on what, and the errno it left.
package struct SystemError: Error, Equatable, CustomStringConvertible {
    package let call: String
    package let subject: String
    package let code: Int32

    package init(_ call: String, _ subject: String = "", code: Int32 = errno) {
        self.call = call
        self.subject = subject
        self.code = code
    }

    /// The disk has no room (or the quota is used up): the sender may try again later.
    package var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }

    package var description: String {
        let reason = String(cString: strerror(code))
        return subject.isEmpty ? "\(call): \(reason)" : "\(call) \(subject): \(reason)"
    }
}

/// Calls `body` again while a signal interrupts it; returns its non-negative result or throws what errno says.
@discardableResult @inline(__always)
package func retryingInterrupts<Result: SignedInteger>(
    _ call: StaticString, _ subject: @autoclosure () -> String = "", _ body: () -> Result
) throws(SystemError) -> Result {
    while true {
        let result = body()
        if result >= 0 { return result }
        if errno != EINTR { throw SystemError("\(call)", subject()) }
    }
}

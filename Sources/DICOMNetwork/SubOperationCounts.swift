// SPDX-License-Identifier: Apache-2.0

/// How far a C-GET or C-MOVE has come (PS3.7 sections 9.1.3 and 9.1.4).
package struct SubOperationCounts: Equatable, Sendable {
    package var remaining: UInt16
    package var completed: UInt16
    package var failed: UInt16
    package var warning: UInt16

    package init(remaining: UInt16 = 0, completed: UInt16 = 0, failed: UInt16 = 0, warning: UInt16 = 0) {
        self.remaining = remaining
        self.completed = completed
        self.failed = failed
        self.warning = warning
    }
}

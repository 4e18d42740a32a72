// SPDX-License-Identifier: Apache-2.0

/// The one entry of a request or operation: filled while it is worked on, and written once, before the first byte of its answer.
package final class OperationAudit {
    private let trail: AuditTrail
    /// May be changed until it is written.
    package var event: AuditEvent
    package private(set) var isRecorded = false

    package init(_ trail: AuditTrail, _ event: AuditEvent) {
        self.trail = trail
        self.event = event
    }

    /// Writes the entry, the first time it is called.
    /// - Throws: then the operation is to be refused, and is not asked for again.
    package func record(_ outcome: AuditEvent.Outcome? = nil, detail: String? = nil) throws(AuditError) {
        guard !isRecorded else { return }
        isRecorded = true
        if let outcome { event.outcome = outcome }
        if let detail { event.detail = detail }
        try trail.recordAccess(event)
    }
}

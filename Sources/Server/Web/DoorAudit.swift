// SPDX-License-Identifier: Apache-2.0
import Access
import Audit
import HTTP

/// Who came in by HTTP, and who was turned away, for the audit trail (PS3.15 sections A.5.3.11 and A.5.3.12). What somebody
/// then does is on record with each request.
struct DoorAudit: Sendable {
    private let trail: AuditTrail

    init(_ trail: AuditTrail) { self.trail = trail }

    /// - Throws: nobody comes in unseen.
    func signedIn(_ asker: Asker) throws(AuditError) {
        try trail.record(AuditEvent(.loggedIn, "sign-in", by: asker.auditParty))
    }

    func signedOut(_ asker: Asker) { trail.recordEnd(AuditEvent(.loggedOut, "sign-out", by: asker.auditParty)) }

    /// Credentials were shown, and do not count. Who shows none is asked for some, and nothing has happened.
    /// - Parameter name: that was given; it may be anybody's.
    func refused(_ name: String, _ request: HTTPRequest, _ error: AccessError) {
        trail.recordAlert(
            AuditEvent(
                .loggedIn, "HTTP", by: AuditParty(.unknown, name: name, address: request.peerAddress),
                outcome: .minorFailure, detail: "\(error)"))
    }

    /// Somebody known wants what he may not.
    func lacks(_ wanted: Permissions, _ asker: Asker, _ request: HTTPRequest) {
        var event = AuditEvent(
            .alert, "HTTP", by: asker.auditParty, outcome: .minorFailure,
            detail:
                "\(request.method) /\(request.path.joined(separator: "/")): lacks \(wanted.names.joined(separator: ", "))"
        )
        event.alert = .accessDenied
        trail.recordAlert(event)
    }
}

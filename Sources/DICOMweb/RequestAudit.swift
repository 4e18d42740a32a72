// SPDX-License-Identifier: Apache-2.0
import Access
import Audit
import HTTP

/// Puts a request's entry into the audit trail, at the one place through which every answer leaves: before its first byte, with
/// the status that it has. A resource that is not listed here is on record, too, so that none is forgotten.
enum RequestAudit {
    /// - Parameter resource: nil: WADO-URI.
    static func begin(
        _ service: DICOMwebService, _ exchange: HTTPExchange, _ asker: Asker, _ resource: ResourcePath? = nil
    ) {
        guard let event = event(exchange.request, asker, resource) else { return }
        let audit = OperationAudit(service.audit, event)
        exchange.companion = audit
        exchange.beforeAnswer = { status in
            let outcome: AuditEvent.Outcome =
                switch status {
                case ..<400: .success
                case ..<500: .minorFailure
                default: .seriousFailure
                }
            // Deleting and storing are done by now; the rest is refused.
            do { try audit.record(outcome, detail: status < 400 ? nil : "HTTP \(status)") } catch {
                throw HTTPProblem(503, "\(error)")
            }
        }
    }

    /// nil: the request is about no patient's data.
    private static func event(
        _ request: HTTPRequest, _ asker: Asker, _ resource: ResourcePath?
    ) -> AuditEvent? {
        guard let resource else {
            var event = AuditEvent(.accessed, "WADO-URI", by: asker.auditParty)
            event.access = .read
            take(request, &event)
            return event
        }
        switch (request.method, resource.tail) {
        case ("OPTIONS", _): return nil
        // The archive's own description.
        case (_, []) where resource.selection == nil, (_, [""]): return nil
        // What is stored is on record in the log (`StoreAccounts`).
        case ("POST", ["studies"]), ("POST", []): return nil
        case ("POST", ["uploads", "check"]): return AuditEvent(.query, "upload check", by: asker.auditParty)
        case ("DELETE", _): return deletion(asker, resource)
        case (_, ["studies"]), (_, ["series"]), (_, ["instances"]):
            var event = AuditEvent(.query, "QIDO-RS", by: asker.auditParty)
            take(request, &event)
            return event
        default:
            // Whole instances leave the archive; of all else the asker sees something.
            let kind: AuditEvent.Kind = resource.tail.isEmpty ? .transferred : .accessed
            var event = AuditEvent(kind, "WADO-RS " + (resource.tail.first ?? "instances"), by: asker.auditParty)
            event.access = .read
            // Known before anything is found: a wrong UID is on record, too.
            if let study = resource.study { event.take([AuditStudy(study)]) }
            return event
        }
    }

    private static func deletion(_ asker: Asker, _ resource: ResourcePath) -> AuditEvent {
        // PS3.15 section A.5.3.8 is for whole studies.
        var event = AuditEvent(resource.series == nil ? .deleted : .accessed, "DELETE", by: asker.auditParty)
        event.access = .delete
        if let study = resource.study { event.take([AuditStudy(study)]) }
        event.detail = resource.instance.map { "instance \($0)" } ?? resource.series.map { "series \($0)" }
        return event
    }

    /// The parameters as they were understood: the address itself may be written in many ways.
    private static func take(_ request: HTTPRequest, _ event: inout AuditEvent) {
        let parameters = request.query.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
        event.query = AuditQuery(subject: "/" + request.path.joined(separator: "/"), keys: Array(parameters.utf8))
    }
}

extension HTTPExchange {
    /// The entry of this request; nil: it has none.
    var audit: OperationAudit? { companion as? OperationAudit }
}

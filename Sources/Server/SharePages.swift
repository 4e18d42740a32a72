// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import Audit
import Control
import FoundationEssentials
import HTTP
import Platform

/// Showing a study to another organisation for a time, over HTTP: `GET` and `POST /shares`, `DELETE /shares/N`.
struct SharePages: Sendable {
    private static let bodyMaximum = 4096
    private let sharing: Sharing
    private let audit: AuditTrail

    init(_ sharing: Sharing, _ audit: AuditTrail) {
        self.sharing = sharing
        self.audit = audit
    }

    private struct Wanted: Codable {
        var study: String
        var with: String
        /// A day (YYYY-MM-DD, to its end) or a number of days.
        var until: String
    }

    private struct Shown: Codable {
        var number: Int64
        var study: String
        var of: String
        var with: String
        var by: String
        var since: String
        var until: String

        init(_ share: Share) {
            number = share.id
            study = share.studyInstanceUID
            of = share.organisation
            with = share.receiver
            by = share.madeBy
            since = Clock.timestamp(share.madeAtNanoseconds)
            until = Clock.timestamp(share.expiresAtNanoseconds)
        }
    }

    /// - Returns: false: the path is not one of these.
    func handle(_ exchange: HTTPExchange, for asker: Asker) throws -> Bool {
        let path = exchange.request.path
        guard path.first == "shares", path.count <= 2 else { return false }
        guard asker.may(.share) else {
            throw HTTPProblem(403, "Sharing studies is not permitted to you; the administrator may permit it")
        }
        do {
            switch (exchange.request.method, path.count) {
            case ("GET", 1), ("HEAD", 1):
                let shares = sharing.list(for: asker)
                try noteLook(shares, asker)
                try respond(exchange, 200, shares.map(Shown.init))
            case ("POST", 1):
                guard let body = try exchange.body(atMost: Self.bodyMaximum) else {
                    throw HTTPProblem(413, "A share is described in 4 KiB")
                }
                guard let wanted = try? JSONDecoder().decode(Wanted.self, from: Data(body)) else {
                    throw HTTPProblem(
                        400,
                        #"Wanted is {"study": "1.2.3", "with": "Other Clinic", "until": "2026-12-31"}, or a number of days in until"#
                    )
                }
                try audit.check()
                let made = try sharing.share(wanted.study, with: wanted.with, until: wanted.until, by: asker)
                try note("POST /shares", "share \(made.id) with \(made.receiver)", asker, study: made.studyInstanceUID)
                try respond(exchange, 201, Shown(made))
            case ("DELETE", 2):
                guard let number = Int64(path[1]) else { throw HTTPProblem(404, "There is no share \(path[1])") }
                try audit.check()
                try sharing.end(number, by: asker)
                try note("DELETE /shares", "share \(number)", asker)
                exchange.respond(HTTPResponse(status: 204))
            default:
                let headers = HTTPHeaders([("Allow", path.count == 1 ? "GET, HEAD, POST, OPTIONS" : "DELETE, OPTIONS")])
                guard exchange.request.method == "OPTIONS" else {
                    throw HTTPProblem(405, "This method is not allowed here", headers: headers)
                }
                exchange.respond(HTTPResponse(status: 204, headers: headers))
            }
        } catch let error as AuditError {
            throw HTTPProblem(503, "\(error)")
        } catch let error as Sharing.Failure {
            throw HTTPProblem(error.isMissing ? 404 : 400, "\(error)")
        } catch let error as ShareDirectory.Failure {
            if case .unknown = error { throw HTTPProblem(404, "\(error)") }
            throw HTTPProblem(409, "\(error)")
        }
        return true
    }

    /// Who may see what is changed (PS3.15 section A.5.3.11, "Object Security Attributes Changed").
    private func note(_ action: String, _ detail: String, _ asker: Asker, study: String? = nil) throws(AuditError) {
        var event = AuditEvent(.alert, action, by: asker.auditParty, detail: detail)
        event.alert = .objectAttributes
        if let study { event.take([AuditStudy(study)]) }
        try audit.record(event)
    }

    private func noteLook(_ shares: [Share], _ asker: Asker) throws(AuditError) {
        var event = AuditEvent(.query, "GET /shares", by: asker.auditParty)
        event.take(shares.map { AuditStudy($0.studyInstanceUID) })
        try audit.recordAccess(event)
    }

    private func respond(_ exchange: HTTPExchange, _ status: Int, _ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        var response = HTTPResponse(contentType: "application/json", body: Array(try encoder.encode(value)) + [0x0A])
        response.status = status
        response.headers.append("Cache-Control", "private, no-store")
        exchange.respond(response)
    }
}

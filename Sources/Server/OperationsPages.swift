// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import Audit
import HTTP
import Platform

/// What monitoring asks: whether the archive lives, whether it stores, and its figures.
struct OperationsPages: Sendable {
    private let archive: Archive
    private let audit: AuditTrail
    private let metrics: Metrics

    init(_ archive: Archive, _ audit: AuditTrail, _ metrics: Metrics) {
        self.archive = archive
        self.audit = audit
        self.metrics = metrics
    }

    /// - Returns: false: the path is none of these.
    func handle(_ exchange: HTTPExchange, for asker: Asker) throws -> Bool {
        let path = exchange.request.path
        guard path.count == 1, ["healthz", "readyz", "metrics"].contains(path[0]) else { return false }
        if exchange.request.method == "OPTIONS" {
            exchange.respond(HTTPResponse(status: 204, headers: HTTPHeaders([("Allow", "GET, HEAD, OPTIONS")])))
            return true
        }
        guard ["GET", "HEAD"].contains(exchange.request.method) else {
            throw HTTPProblem(405, "Only GET and HEAD here", headers: HTTPHeaders([("Allow", "GET, HEAD, OPTIONS")]))
        }
        var response = self.response(path[0], isDetailed: asker.may(.monitor))
        response.headers.append("Cache-Control", "no-store")
        exchange.respond(response)
        return true
    }

    /// - Parameter isDetailed: false: for those of whom nothing is known, who are told whether and not why.
    private func response(_ page: String, isDetailed: Bool) -> HTTPResponse {
        switch page {
        case "healthz": HTTPResponse(contentType: "text/plain", text: "ok\n")
        case "metrics": HTTPResponse(contentType: "text/plain; version=0.0.4", text: metrics.rendered())
        default:
            if let reason = archive.stopReason {
                HTTPResponse(
                    status: 503, contentType: "text/plain",
                    text: isDetailed ? "storing stopped: \(reason)\n" : "not ready\n")
            } else if let refusal = audit.refusal {
                HTTPResponse(
                    status: 503, contentType: "text/plain",
                    text: isDetailed ? "reading refused: \(refusal)\n" : "not ready\n")
            } else {
                HTTPResponse(
                    contentType: "text/plain",
                    text: "ready\n" + (isDetailed ? archive.degradation.map { "degraded: \($0)\n" } ?? "" : ""))
            }
        }
    }
}

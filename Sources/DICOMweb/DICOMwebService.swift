// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import Audit
import BlobLog
import Catalog
import DICOM
import HTTP
import Imaging
import Platform

/// DICOMweb (PS3.18): finds out what a request asks for and hands it to the service that does it.
package final class DICOMwebService: Sendable {
    package struct Settings: Sendable {
        /// Path segments in front of `studies`.
        package var root = ["dicom-web"]
        package var wadoURI = ["wado"]
        package var allowsDelete = false
        /// Rows of one search at most; nil: no limit.
        package var resultLimit: Int?
        package var issuer = ""
        package var aeTitle = "SNIMOK"

        package init() {}
    }

    let archive: Archive
    let audit: AuditTrail
    let transcoder: Transcoder
    let previews: PreviewCache
    let settings: Settings

    package init(
        _ archive: Archive, _ audit: AuditTrail, _ transcoder: Transcoder, _ previews: PreviewCache, settings: Settings
    ) {
        self.archive = archive
        self.audit = audit
        self.transcoder = transcoder
        self.previews = previews
        self.settings = settings
    }

    /// The root as clients see it, for URLs in answers. Relative to the server where it does not say its name.
    func rootURL(_ request: HTTPRequest) -> String {
        let path = "/" + settings.root.joined(separator: "/")
        return (request.origin ?? "") + path
    }

    /// Answers a request, if it is one of ours.
    /// - Parameter asker: who sent it, as was found out before.
    /// - Returns: false: the path is not below our roots.
    package func handle(_ exchange: HTTPExchange, for asker: Asker) throws -> Bool {
        let path = exchange.request.path
        do {
            if path == ["openapi.json"] {
                if try isReading(exchange) {
                    exchange.respond(HTTPResponse(contentType: Media.plainJSON, text: OpenAPIDocument.json))
                }
            } else if !settings.wadoURI.isEmpty, path == settings.wadoURI {
                if try isReading(exchange) {
                    RequestAudit.begin(self, exchange, asker)
                    try URIService(self, exchange, asker).run()
                }
            } else if path.starts(with: settings.root) {
                let resource = try ResourcePath(path.dropFirst(settings.root.count))
                RequestAudit.begin(self, exchange, asker, resource)
                try dispatch(exchange, resource, asker)
            } else {
                return false
            }
        } catch { throw Self.problem(error) }
        return true
    }

    /// - Returns: false: a question about the methods, answered.
    private func isReading(_ exchange: HTTPExchange) throws -> Bool {
        switch exchange.request.method {
        case "GET", "HEAD": return true
        case "OPTIONS":
            exchange.respond(HTTPResponse(status: 204, headers: HTTPHeaders([("Allow", "GET, HEAD, OPTIONS")])))
            return false
        default: throw Self.notAllowed("GET, HEAD, OPTIONS")
        }
    }

    private func dispatch(_ exchange: HTTPExchange, _ resource: ResourcePath, _ asker: Asker) throws {
        let method = exchange.request.method
        switch method {
        case "GET", "HEAD": try get(exchange, resource, asker)
        // The root itself says what there is (PS3.18 section 8.9).
        case "OPTIONS" where resource.selection == nil && (resource.tail.isEmpty || resource.tail == [""]):
            var response = try Capabilities.response(Negotiation(exchange.request), root: rootURL(exchange.request))
            response.headers.append("Allow", "GET, HEAD, OPTIONS")
            exchange.respond(response)
        case "OPTIONS":
            exchange.respond(
                HTTPResponse(status: 204, headers: HTTPHeaders([("Allow", allowedMethods(resource))])))
        case "POST" where resource.tail == ["studies"] && resource.series == nil,
            "POST" where resource.tail.isEmpty && resource.study != nil && resource.series == nil:
            try StoreService(self, exchange, asker).run(resource)
        case "POST" where resource.tail == ["uploads", "check"]: try UploadCheck(self, exchange, asker).run()
        case "DELETE" where resource.tail.isEmpty && resource.study != nil: try delete(exchange, resource, asker)
        default: throw Self.notAllowed(allowedMethods(resource))
        }
    }

    private func get(_ exchange: HTTPExchange, _ resource: ResourcePath, _ asker: Asker) throws {
        switch (resource.instance, resource.tail) {
        case (nil, []) where resource.selection == nil, (nil, [""]):
            exchange.respond(
                try Capabilities.response(Negotiation(exchange.request), root: rootURL(exchange.request)))
        case (nil, ["uploads", "check"]): throw Self.notAllowed("POST, OPTIONS")
        case (nil, ["studies"]), (nil, ["series"]), (nil, ["instances"]):
            try SearchService(self, exchange, asker).run(resource)
        case (_, ["metadata"]) where resource.selection != nil: try MetadataService(self, exchange, asker).run(resource)
        case (_, []) where resource.selection != nil: try RetrieveService(self, exchange, asker).run(resource)
        case (.some, let tail) where tail.count == 2 && tail[0] == "frames":
            try FrameService(self, exchange, asker).run(resource, list: tail[1])
        case (_, ["rendered"]) where resource.selection != nil:
            try RenderedService(self, exchange, asker).run(resource, frames: nil, isThumbnail: false)
        case (_, ["thumbnail"]) where resource.selection != nil:
            try RenderedService(self, exchange, asker).run(resource, frames: nil, isThumbnail: true)
        case (.some, let tail)
        where tail.count == 3 && tail[0] == "frames" && ["rendered", "thumbnail"].contains(tail[2]):
            try RenderedService(self, exchange, asker).run(
                resource, frames: tail[1], isThumbnail: tail[2] == "thumbnail")
        case (.some, let tail) where tail.count == 2 && tail[0] == "bulkdata":
            try BulkDataService(self, exchange, asker).run(resource, path: tail[1])
        default: throw HTTPProblem(404, "There is no such resource; see /openapi.json for those that are")
        }
    }

    /// Methods that a resource knows.
    func allowedMethods(_ resource: ResourcePath) -> String {
        if resource.tail == ["uploads", "check"] { return "POST, OPTIONS" }
        if resource.study == nil, resource.tail == ["studies"] { return "GET, HEAD, POST, OPTIONS" }
        guard resource.tail.isEmpty, resource.study != nil else { return "GET, HEAD, OPTIONS" }
        return resource.series == nil ? "GET, HEAD, POST, DELETE, OPTIONS" : "GET, HEAD, DELETE, OPTIONS"
    }

    /// PS3.18 has no transaction for it; peers and viewers use DELETE on the resource.
    private func delete(_ exchange: HTTPExchange, _ resource: ResourcePath, _ asker: Asker) throws {
        guard settings.allowsDelete else {
            throw HTTPProblem(
                403, "Deleting is not permitted here; the administrator may allow it by dicomweb.allowDelete")
        }
        let target =
            if let uid = resource.instance {
                DeletionTarget(instance: uid, series: resource.series, study: resource.study)
            } else if let uid = resource.series { DeletionTarget(series: uid, study: resource.study) } else {
                DeletionTarget(study: resource.study!)
            }
        // What is deleted is on record in the log, too; yet nothing is done that the trail could not say.
        do { try audit.check() } catch { throw HTTPProblem(503, "\(error)") }
        // Who does not see everything may not take away what others sent, nor learn that there is any.
        let deletion = try archive.delete(target, by: source(asker), isOwnOnly: asker.scope.visible != nil)
        exchange.audit?.event.count = deletion.instances
        exchange.respond(HTTPResponse(status: 204))
    }

    static func notAllowed(_ methods: String) -> HTTPProblem {
        HTTPProblem(
            405, "This method is not allowed here; allowed: \(methods)", headers: HTTPHeaders([("Allow", methods)]))
    }

    /// The one place where errors of the archive become HTTP statuses.
    static func problem(_ error: any Error) -> any Error {
        switch error {
        case ArchiveError.outOfSpace: HTTPProblem(507, "\(error)")
        case ArchiveError.unavailable: HTTPProblem(503, "\(error)")
        case ArchiveError.notFound: HTTPProblem(404, "\(error)")
        case ArchiveError.retained: HTTPProblem(409, "\(error)")
        case ArchiveError.mismatch, ArchiveError.notUnderstood: HTTPProblem(409, "\(error)")
        case StoredImage.Failure.noSuchFrame: HTTPProblem(404, "\(error)")
        case StoredImage.Failure.noImage: HTTPProblem(406, "\(error)")
        case is StoredImage.Failure: HTTPProblem(422, "\(error)")
        case ImagingError.wrongParameter: HTTPProblem(400, "\(error)")
        case ImagingError.unsupported: HTTPProblem(406, "\(error)")
        case ImagingError.malformed, ImagingError.tooLarge, ImagingError.decoderStopped: HTTPProblem(422, "\(error)")
        case ImagingError.busy, ImagingError.failed: HTTPProblem(503, "\(error)")
        default: error
        }
    }

    /// The selected instances in the order of the disk; 404 if there are none.
    func versions(_ resource: ResourcePath, _ exchange: HTTPExchange, for asker: Asker) throws -> [CatalogVersion] {
        var selection = resource.selection!
        selection.shownReasons = asker.shownReasons
        let versions = try archive.versions(selection, scope: asker.scope)
        guard !versions.isEmpty else {
            throw HTTPProblem(404, "The archive has no instance under these UIDs")
        }
        exchange.audit?.event.take(versions, patients: archive.readers)
        return versions
    }

    /// Where an instance is fetched.
    /// - Parameter root: `rootURL` of the request.
    func url(_ version: CatalogVersion, root: String) -> String {
        "\(root)/studies/\(version.studyInstanceUID)/series/\(version.seriesInstanceUID)/instances/\(version.sopInstanceUID)"
    }
}

// SPDX-License-Identifier: Apache-2.0
import HTTP

/// Retrieve Capabilities (PS3.18 section 8.9): what the service can do, as WADL or as the OpenAPI document.
enum Capabilities {
    static func response(_ negotiation: Negotiation, root: String) throws(HTTPProblem) -> HTTPResponse {
        try negotiation.choose([
            (
                "application/vnd.sun.wadl+xml",
                HTTPResponse(contentType: "application/vnd.sun.wadl+xml", text: wadl(root))
            ),
            (Media.plainJSON, HTTPResponse(contentType: Media.plainJSON, text: OpenAPIDocument.json)),
            ("application/xml", HTTPResponse(contentType: "application/xml", text: wadl(root))),
        ])
    }

    private static func wadl(_ root: String) -> String {
        let instances = resource("instances", "SOPInstanceUID", ["GET", "DELETE"], object + frames, search: true)
        let series = resource("series", "SeriesInstanceUID", ["GET", "DELETE"], object + instances, search: true)
        let studies = resource(
            "studies", "StudyInstanceUID", ["GET", "POST", "DELETE"], object + series + searchOnly("instances"),
            search: true,
            stores: true)
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <application xmlns="http://wadl.dev.java.net/2009/02"><resources base="\(root)">\
            \(studies)\(searchOnly("series"))\(searchOnly("instances"))</resources></application>

            """
    }

    private static let object = ["metadata", "rendered", "thumbnail"].map {
        "<resource path=\"\($0)\">\(method("GET"))</resource>"
    }.joined()

    private static let frames =
        "<resource path=\"frames/{FrameList}\">\(method("GET"))<resource path=\"rendered\">\(method("GET"))</resource></resource>"
        + "<resource path=\"bulkdata/{AttributePath}\">\(method("GET"))</resource>"

    private static func method(_ name: String) -> String { "<method name=\"\(name)\"/>" }

    private static func searchOnly(_ name: String) -> String {
        "<resource path=\"\(name)\">\(method("GET"))</resource>"
    }

    private static func resource(
        _ name: String, _ uid: String, _ methods: [String], _ inner: String, search: Bool, stores: Bool = false
    ) -> String {
        "<resource path=\"\(name)\">\(method("GET"))\(stores ? method("POST") : "")"
            + "<resource path=\"{\(uid)}\">\(methods.map(method).joined())\(inner)</resource></resource>"
    }
}

// SPDX-License-Identifier: Apache-2.0
import HTTP

/// What a client takes (PS3.18 section 8.7.5): the query parameter `accept`, else the header, else anything.
struct Negotiation {
    let accepted: [MediaType]

    init(_ request: HTTPRequest) {
        let asked = request.query.filter { $0.name == "accept" }.map(\.value).joined(separator: ",")
        let header = asked.isEmpty ? request.headers["Accept"] ?? "" : asked
        let list = MediaType.list(header)
        // An empty header, or one in which nothing makes sense, is no wish; a parameter is always one.
        accepted = list.isEmpty && asked.isEmpty ? [MediaType("*/*")!] : list
    }

    /// The offer that the client likes best; of equals the earlier offer.
    /// - Throws: 406 with what there is.
    func choose<Choice>(_ offers: [(type: String, choice: Choice)]) throws(HTTPProblem) -> Choice {
        for wanted in accepted {
            if let offer = offers.first(where: { wanted.matches($0.type) }) { return offer.choice }
        }
        throw notAcceptable(offers.map(\.type))
    }

    func notAcceptable(_ offers: [String]) -> HTTPProblem {
        HTTPProblem(406, "None of the accepted media types is offered here; offered: " + offers.joined(separator: ", "))
    }
}

/// The media types of PS3.18.
enum Media {
    static let json = "application/dicom+json"
    static let plainJSON = "application/json"
    static let xml = "application/dicom+xml"
    static let dicom = "application/dicom"
    static let bytes = "application/octet-stream"
    static let multipart = "multipart/related"
    static let zip = "application/zip"
}

/// How attributes are written: both forms of PS3.18 section 8.7.3.2.
enum AttributeFormat {
    case json, xml

    static func choose(_ negotiation: Negotiation) throws(HTTPProblem) -> AttributeFormat {
        for wanted in negotiation.accepted {
            if wanted.matches(Media.json) || wanted.name == Media.plainJSON { return .json }
            if wanted.name == Media.xml { return .xml }
            if wanted.name == Media.multipart, wanted["type"] == nil || wanted["type"] == Media.xml { return .xml }
        }
        throw negotiation.notAcceptable([Media.json, "\(Media.multipart); type=\"\(Media.xml)\""])
    }
}

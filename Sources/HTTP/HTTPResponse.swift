// SPDX-License-Identifier: Apache-2.0

/// An answer with its body in memory.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: HTTPHeaders
    package var body: HTTPBody

    package init(
        status: Int = 200, contentType: String? = nil, body: HTTPBody = HTTPBody(),
        headers: HTTPHeaders = HTTPHeaders()
    ) {
        self.status = status
        self.headers = headers
        if let contentType { self.headers.append("Content-Type", contentType) }
        self.body = body
    }

    package init(
        status: Int = 200, contentType: String? = nil, body: [UInt8], headers: HTTPHeaders = HTTPHeaders()
    ) {
        self.init(status: status, contentType: contentType, body: HTTPBody(body), headers: headers)
    }

    package init(status: Int = 200, contentType: String, text: String) {
        self.init(status: status, contentType: contentType, body: Array(text.utf8))
    }
}

/// Why a request is not answered as asked: an HTTP status and a sentence that tells the person what to do.
package struct HTTPProblem: Error, CustomStringConvertible {
    package let status: Int
    package let detail: String
    package var headers: HTTPHeaders

    package init(_ status: Int, _ detail: String, headers: HTTPHeaders = HTTPHeaders()) {
        self.status = status
        self.detail = detail
        self.headers = headers
    }

    package var description: String { "\(status) \(detail)" }

    /// `application/problem+json` (RFC 9457).
    package var response: HTTPResponse {
        let title = HTTPStatus.phrase(status)
        let body =
            #"{"type":"about:blank","title":"\#(title)","status":\#(status),"detail":"\#(Self.escaped(detail))"}"#
            + "\n"
        return HTTPResponse(
            status: status, contentType: "application/problem+json", body: Array(body.utf8), headers: headers)
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F: result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// The peer is gone, or the answer is complete: nothing more can be said.
package struct HTTPPeerGone: Error {
    package init() {}
}

package enum HTTPStatus {
    /// RFC 9110 section 15, for the statuses that the archive uses.
    package static func phrase(_ status: Int) -> String {
        switch status {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 416: "Range Not Satisfiable"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 507: "Insufficient Storage"
        default: "Error"
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import HTTP

/// The cookie that holds a session (RFC 6265bis). Over TLS its name makes browsers refuse one that another host, another
/// path or an unencrypted page has set.
enum SessionCookie {
    private static func name(_ request: HTTPRequest) -> String { request.isEncrypted ? "__Host-snimok" : "snimok" }

    /// - Returns: nil: there is none, or more than one, of which one is somebody else's.
    static func value(_ request: HTTPRequest) -> String? {
        let wanted = name(request)
        let values = request.headers.all("Cookie").flatMap { $0.split(separator: ";") }.compactMap { pair -> String? in
            let parts = pair.drop { $0 == " " }.split(separator: "=", maxSplits: 1)
            return parts.count == 2 && parts[0] == wanted ? String(parts[1]) : nil
        }
        return values.count == 1 ? values[0] : nil
    }

    /// For Set-Cookie. It lives as long as the browser; the archive ends it before.
    static func setting(_ value: String, _ request: HTTPRequest) -> String {
        "\(name(request))=\(value); Path=/; HttpOnly; SameSite=Strict" + (request.isEncrypted ? "; Secure" : "")
    }

    static func clearing(_ request: HTTPRequest) -> String { setting("", request) + "; Max-Age=0" }
}

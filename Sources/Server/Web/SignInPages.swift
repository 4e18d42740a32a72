// SPDX-License-Identifier: Apache-2.0
import Access
import Audit
import FoundationEssentials
import HTTP
import Platform

/// Signing in and out in a browser, and who one is.
struct SignInPages: Sendable {
    private static let formMaximumBytes = 8 << 10
    /// Forms that are read at once: strangers may send them as slowly as they like, and each holds a thread.
    private static let formsMaximum = 16
    private static let returnMaximumBytes = 2048
    private let authenticator: Authenticator
    private let audit: DoorAudit
    private let forms = Monitor(0)
    /// Where one goes who does not say.
    private let home: String

    init(_ authenticator: Authenticator, _ audit: DoorAudit, hasViewer: Bool) {
        self.audit = audit
        self.authenticator = authenticator
        home = hasViewer ? "/ohif/" : "/login"
    }

    /// - Returns: false: the path is none of these.
    func handle(_ exchange: HTTPExchange, _ admission: HTTPGate.Admission) throws -> Bool {
        let request = exchange.request!
        if request.method == "OPTIONS", let methods = Self.methods(request.path) {
            exchange.respond(HTTPResponse(status: 204, headers: HTTPHeaders([("Allow", methods)])))
            return true
        }
        switch (request.method, request.path) {
        case (_, ["login.css"]):
            exchange.respond(
                HTTPResponse(
                    contentType: "text/css; charset=utf-8", body: Array(SignInPage.style.utf8),
                    headers: HTTPHeaders([("Cache-Control", "max-age=3600")])))
        case ("POST", ["login"]): try signIn(exchange)
        case (_, ["login"]): exchange.respond(try page(request, returnTo: request[query: "to"]).response())
        case (_, ["logout"]): try signOut(exchange, admission)
        case (_, ["whoami"]): exchange.respond(try whoAmI(admission))
        case (_, [""]): exchange.respond(Self.redirect(to: home))
        default: return false
        }
        return true
    }

    /// - Returns: nil: the path is none of these.
    private static func methods(_ path: [String]) -> String? {
        switch path {
        case ["login"]: "GET, HEAD, POST, OPTIONS"
        case ["logout"]: "POST, OPTIONS"
        case ["login.css"], ["whoami"], [""]: "GET, HEAD, OPTIONS"
        default: nil
        }
    }

    /// The way to the page, for a browser that shows a person something he must sign in for; nil: it is no such request.
    static func invitation(_ request: HTTPRequest) -> HTTPResponse? {
        guard ["GET", "HEAD"].contains(request.method), ["ohif", ""].contains(request.path.first),
            request.headers["Accept"]?.contains("text/html") == true, request.headers["Authorization"] == nil
        else { return nil }
        let query = request.query.map { "\(escaped($0.name))=\(escaped($0.value))" }.joined(separator: "&")
        let target = "/" + request.path.map(escaped).joined(separator: "/") + (query.isEmpty ? "" : "?\(query)")
        return redirect(to: target == "/" ? "/login" : "/login?to=\(escaped(target))")
    }

    private static func redirect(to target: String, cookie: String? = nil) -> HTTPResponse {
        var headers = HTTPHeaders([("Location", target), ("Cache-Control", "no-store")])
        if let cookie { headers.append("Set-Cookie", cookie) }
        return HTTPResponse(status: 303, headers: headers)
    }

    // MARK: The page

    private func page(_ request: HTTPRequest, returnTo: String?) throws -> SignInPage {
        var page = SignInPage(language: SignInPage.Language(request))
        page.returnTo = Self.soundReturn(returnTo)
        if let cookie = SessionCookie.value(request),
            let asker = try? authenticator.session(cookie: cookie, address: request.peerAddress)
        {
            page.signedIn = (asker.name, asker.organisation, Authenticator.antiForgeryToken(cookie: cookie))
        }
        return page
    }

    private func signIn(_ exchange: HTTPExchange) throws {
        let request = exchange.request!
        let form = try form(exchange)
        var page = SignInPage(language: SignInPage.Language(request))
        page.returnTo = Self.soundReturn(form["to"])
        do throws(AccessError) {
            let cookie = try authenticator.signIn(
                name: form["name"] ?? "", password: form["password"] ?? "", address: request.peerAddress)
            let asker = try authenticator.session(cookie: cookie, address: request.peerAddress)
            do throws(AuditError) { try audit.signedIn(asker) } catch { throw .unavailable("\(error)") }
            // Whoever was signed in here before is not any more.
            if let old = SessionCookie.value(request) { try authenticator.signOut(cookie: old) }
            exchange.respond(
                Self.redirect(to: page.returnTo ?? home, cookie: SessionCookie.setting(cookie, request)))
        } catch {
            audit.refused(form["name"] ?? "", request, error)
            page.failure = error
            exchange.respond(page.response())
        }
    }

    private func signOut(_ exchange: HTTPExchange, _ admission: HTTPGate.Admission) throws {
        let form = try form(exchange)
        guard let cookie = admission.cookie else { throw HTTPProblem(400, "Nobody is signed in by cookie") }
        guard Authenticator.isAntiForgeryToken(form["csrf"] ?? "", of: cookie) else {
            throw HTTPProblem(403, "The form is not from this session's page; open /login and sign out there")
        }
        do throws(AccessError) { try authenticator.signOut(cookie: cookie) } catch {
            throw HTTPGate.problem(error, exchange.request)
        }
        audit.signedOut(admission.asker)
        var response = Self.redirect(to: "/login", cookie: SessionCookie.clearing(exchange.request))
        // What viewers have kept about patients goes too.
        response.headers.append("Clear-Site-Data", #""cache", "storage""#)
        exchange.respond(response)
    }

    /// application/x-www-form-urlencoded, as the page's forms send it.
    private func form(_ exchange: HTTPExchange) throws -> [String: String] {
        guard let type = exchange.request.headers["Content-Type"].flatMap({ MediaType($0) }),
            type.name == "application/x-www-form-urlencoded"
        else { throw HTTPProblem(415, "Wanted is a form, application/x-www-form-urlencoded") }
        guard
            forms.withLock({ count in
                guard count < Self.formsMaximum else { return false }
                count += 1
                return true
            })
        else {
            throw HTTPProblem(
                503, "Too many people sign in at this moment; try again in a few seconds",
                headers: HTTPHeaders([("Retry-After", "2")]))
        }
        defer { forms.withLock { $0 -= 1 } }
        guard let bytes = try exchange.body(atMost: Self.formMaximumBytes) else {
            throw HTTPProblem(413, "The form is longer than 8 KiB")
        }
        guard let text = String(validating: bytes, as: UTF8.self), let parsed = HTTPRequest.parse(target: "/?\(text)")
        else { throw HTTPProblem(400, "The form is malformed") }
        return Dictionary(parsed.query.map { ($0.name, $0.value) }) { first, _ in first }
    }

    /// A path of this server, as `invitation` makes it, and nothing that leads elsewhere.
    private static func soundReturn(_ target: String?) -> String? {
        guard let target, target.utf8.count <= returnMaximumBytes, target.hasPrefix("/"), !target.hasPrefix("//"),
            target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !#"\"<>"#.utf8.contains($0) })
        else { return nil }
        return target
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.count < 2 ? "0" : "") + digits
            }
        }
        return result
    }

    // MARK: /whoami

    private struct Identity: Encodable {
        var kind: String
        var name: String
        var organisation: String
        var permissions: [String]
        /// Of a session: for X-CSRF-Token.
        var antiForgeryToken: String?
    }

    private func whoAmI(_ admission: HTTPGate.Admission) throws -> HTTPResponse {
        let asker = admission.asker
        let identity = Identity(
            kind: asker.kind.rawValue, name: asker.name, organisation: asker.organisation,
            permissions: asker.permissions.names,
            antiForgeryToken: admission.cookie.map { Authenticator.antiForgeryToken(cookie: $0) })
        return HTTPResponse(
            contentType: "application/json", body: Array(try JSONEncoder().encode(identity)),
            headers: HTTPHeaders([("Cache-Control", "no-store"), ("Cross-Origin-Resource-Policy", "same-origin")]))
    }
}

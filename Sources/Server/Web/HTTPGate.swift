// SPDX-License-Identifier: Apache-2.0
import Access
import Catalog
import HTTP

/// Stands in front of everything that HTTP offers: finds out who asks, and lets nobody through to what he may not.
struct HTTPGate: Sendable {
    struct Settings: Sendable {
        /// Origins whose pages may ask.
        var allowedOrigins: [String] = []
        /// In a laboratory: whoever may reach the address may do everything while nobody has credentials.
        var isInsecure = false
        /// From one address; 0: as many as come.
        var requestsPerSecond = 0.0
    }

    struct Admission: Sendable {
        var asker: Asker
        /// The session cookie's value, if it was that which opened.
        var cookie: String?
    }

    private enum Credentials {
        case none
        case basic(name: String, password: String)
        case bearer(String)
        case session(String)
    }

    private static let realm = "Snimok"
    private static let proxyFields = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"]
    private let authenticator: Authenticator
    private let routes: RouteTable
    private let audit: DoorAudit
    private let settings: Settings
    private let rates: RequestRates?
    private let localScope: @Sendable () -> CatalogScope

    /// - Parameter localScope: what is seen by whoever is on this machine while nobody has credentials.
    init(
        _ authenticator: Authenticator, _ routes: RouteTable, _ audit: DoorAudit, settings: Settings,
        localScope: @escaping @Sendable () -> CatalogScope
    ) {
        self.audit = audit
        self.localScope = localScope
        self.authenticator = authenticator
        self.routes = routes
        self.settings = settings
        rates = settings.requestsPerSecond > 0 ? RequestRates(perSecond: settings.requestsPerSecond) : nil
    }

    /// - Throws: the answer to those who are not let through. Whether an address exists is told only to whom the archive
    ///   knows.
    func admit(_ request: HTTPRequest) throws(HTTPProblem) -> Admission {
        guard rates?.take(Authenticator.network(request.peerAddress)) ?? true else {
            throw HTTPProblem(
                429, "More requests a second come from this address than are answered",
                headers: HTTPHeaders([("Retry-After", "1")]))
        }
        try checkOrigin(request)
        let needs = routes.needs(request.path)
        let need = needs?[request.method == "HEAD" ? "GET" : request.method]
        switch need {
        case .nothing?: return Admission(asker: nobody(request))
        case .credentialsIfShown? where authenticator.hasCredentials && request.headers["Authorization"] == nil:
            return Admission(asker: nobody(request))
        default: break
        }
        let admission = try authenticate(request)
        guard let needs else {
            throw HTTPProblem(404, "There is no such resource; see /openapi.json for those that are")
        }
        guard request.method != "OPTIONS" else { return admission }
        guard let need else {
            let allowed = RouteTable.allowed(needs)
            throw HTTPProblem(
                405, "This method is not allowed here; allowed: \(allowed)", headers: HTTPHeaders([("Allow", allowed)]))
        }
        if case .permission(let wanted) = need, !admission.asker.may(wanted) {
            audit.lacks(wanted, admission.asker, request)
            throw Self.lacks(wanted)
        }
        return admission
    }

    // MARK: Who asks

    private func authenticate(_ request: HTTPRequest) throws(HTTPProblem) -> Admission {
        guard authenticator.hasCredentials else { return Admission(asker: try local(request)) }
        let address = request.peerAddress
        var admission: Admission
        var shown: String?
        do throws(AccessError) {
            let credentials = try Self.credentials(request)
            shown = Self.name(in: credentials)
            switch credentials {
            case .none: throw .wrongCredentials
            case .basic(let name, let password):
                admission = Admission(
                    asker: try authenticator.user(name: name, password: password, address: address))
            case .bearer(let token):
                admission = Admission(asker: try authenticator.bearer(token: token, address: address))
            case .session(let cookie):
                admission = Admission(
                    asker: try authenticator.session(cookie: cookie, address: address), cookie: cookie)
            }
        } catch {
            if let shown { audit.refused(shown, request, error) }
            throw Self.problem(error, request)
        }
        // A browser sends the cookie by itself, so it does not show that the person wanted this; the sign-out's form has
        // a field for it.
        if let cookie = admission.cookie, !request.isReading, request.path != ["logout"],
            !Authenticator.isAntiForgeryToken(request.headers["X-CSRF-Token"] ?? "", of: cookie)
        {
            throw HTTPProblem(
                403, "A request by cookie that changes something needs the session's token (/whoami) as X-CSRF-Token")
        }
        admission.asker.isEncrypted = request.isEncrypted
        return admission
    }

    /// While nobody has credentials: whoever reaches a loopback address is on this machine.
    private func local(_ request: HTTPRequest) throws(HTTPProblem) -> Asker {
        // A proxy on this machine that nobody has declared brings strangers; most say so.
        let isProxied = Self.proxyFields.contains { request.headers[$0] != nil }
        guard settings.isInsecure || (!request.isForwarded && !isProxied && Self.isLocal(request.host)) else {
            // A name that leads here may be a stranger's (DNS rebinding): its page in a browser on this machine would be
            // of the same origin as the archive.
            throw HTTPProblem(
                403, "Without users the archive answers to localhost only; make one with snimok user add")
        }
        return Asker(
            kind: .local, name: "", address: request.peerAddress, permissions: .all,
            scope: localScope(), isEncrypted: request.isEncrypted)
    }

    private static func isLocal(_ host: String?) -> Bool {
        // HTTP/1.0 needs none (RFC 9112 section 3.2), and browsers always send one.
        guard let host else { return true }
        let name: Substring
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
            name = host[host.index(after: host.startIndex)..<end]
        } else {
            name = host.prefix { $0 != ":" }
        }
        return Configuration.isLoopback(name.lowercased())
    }

    private func nobody(_ request: HTTPRequest) -> Asker {
        Asker(
            kind: .user, name: "", address: request.peerAddress, permissions: [],
            scope: CatalogScope(organisation: "", visible: []), isEncrypted: request.isEncrypted)
    }

    private static func credentials(_ request: HTTPRequest) throws(AccessError) -> Credentials {
        let fields = request.headers.all("Authorization")
        guard fields.count <= 1 else { throw .wrongCredentials }
        guard let field = fields.first else { return SessionCookie.value(request).map { .session($0) } ?? .none }
        let parts = field.split(separator: " ", maxSplits: 1)
        guard parts.count == 2 else { throw .wrongCredentials }
        let credentials = parts[1].drop { $0 == " " }
        switch parts[0].lowercased() {
        case "bearer": return .bearer(String(credentials))
        case "basic":
            // RFC 7617 section 2; the text is UTF-8, as the challenge says. By bytes: a password may begin with a mark.
            guard let bytes = Secret.bytes(credentials, isURLSafe: false),
                let text = String(validating: bytes, as: UTF8.self),
                let colon = text.utf8.firstIndex(of: UInt8(ascii: ":"))
            else { throw .wrongCredentials }
            return .basic(name: String(text[..<colon]), password: String(text[text.utf8.index(after: colon)...]))
        default: throw .wrongCredentials
        }
    }

    /// Who credentials say somebody is; nil: they say nothing, or are an old session's, as every browser comes to have.
    private static func name(in credentials: Credentials) -> String? {
        switch credentials {
        case .none, .session: nil
        case .basic(let name, _): name
        case .bearer: ""
        }
    }

    // MARK: Refusals

    /// The one place where refusals of the authenticator become HTTP statuses.
    static func problem(_ error: AccessError, _ request: HTTPRequest) -> HTTPProblem {
        switch error {
        case .wrongCredentials:
            // To a browser's script no Basic: it would put up a window of its own.
            let isScript = (request.headers["Sec-Fetch-Mode"] ?? "navigate") != "navigate"
            var headers = HTTPHeaders([("WWW-Authenticate", #"Bearer realm="\#(realm)""#)])
            if !isScript { headers.append("WWW-Authenticate", #"Basic realm="\#(realm)", charset="UTF-8""#) }
            return HTTPProblem(
                401,
                "Say who you are: name and password (Basic), a token (Bearer), or sign in at /login; what was sent is none that counts",
                headers: headers)
        case .tooManyAttempts(let seconds):
            return HTTPProblem(429, "\(error)", headers: HTTPHeaders([("Retry-After", "\(seconds)")]))
        case .busy: return HTTPProblem(503, "\(error)", headers: HTTPHeaders([("Retry-After", "2")]))
        case .unavailable: return HTTPProblem(503, "\(error)")
        }
    }

    private static func lacks(_ wanted: Permissions) -> HTTPProblem {
        let role = Role.least(for: wanted).map { "; the role \($0.rawValue) has it" } ?? ""
        return HTTPProblem(
            403, "This needs the permission \(wanted.names.joined(separator: " and ")), which you do not have\(role)")
    }

    /// A page of somebody else's must not make a browser change anything here, be it by cookie, by credentials that the
    /// browser remembers, or because it is on this machine.
    private func checkOrigin(_ request: HTTPRequest) throws(HTTPProblem) {
        guard !request.isReading else { return }
        let isForeign =
            if let origin = request.headers["Origin"] {
                origin != request.origin && !settings.allowedOrigins.contains(origin)
            } else {
                // Some old browser's form: it says at least that it comes from elsewhere.
                request.headers["Sec-Fetch-Site"] == "cross-site"
            }
        if isForeign {
            throw HTTPProblem(
                403,
                "Pages of other origins may change nothing here; the administrator may name them in http.corsOrigins")
        }
    }
}

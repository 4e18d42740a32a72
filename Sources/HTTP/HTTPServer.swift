// SPDX-License-Identifier: Apache-2.0
import CMicroHTTPD
import Glibc
import Platform

/// The HTTP server: libmicrohttpd parses and waits on its own threads, handlers run on threads of ours.
package final class HTTPServer: @unchecked Sendable {
    package typealias Handler = @Sendable (HTTPExchange) throws -> Void

    package struct Settings: Sendable {
        package var connectionsMaximum: UInt32 = 10_000
        package var connectionsPerAddressMaximum: UInt32 = 1000
        /// Requests that are worked on at once.
        package var requestsMaximum = 256
        package var timeoutSeconds: UInt32 = 30
        /// Origins whose pages may read answers (CORS); none by default.
        package var allowedOrigins: [String] = []
        /// Whether a peer at this address is a proxy of the operator's, whose X-Forwarded fields are believed. Connections
        /// are then not limited by address, for all come from there; requests are, by the client's.
        package var isProxy: (@Sendable (String) -> Bool)?
        /// PEM texts; nil: HTTP without TLS.
        package var tls: (certificate: String, key: String)?

        package init() {}
    }

    private let settings: Settings
    private let handler: Handler
    private let threads: HandlerThreads
    let hangUps: HangUpWatch
    private let running = Monitor<[ObjectIdentifier: HTTPExchange]>([:])
    private let lastWords = Monitor("")
    private var daemon: OpaquePointer?
    private let callbacks = UnsafeMutablePointer<snimok_http_callbacks>.allocate(capacity: 1)

    /// Listens on `host` (an address or a name) and begins to answer.
    package init(host: String, port: UInt16, settings: Settings, handler: @escaping Handler) throws(SystemError) {
        self.settings = settings
        self.handler = handler
        threads = HandlerThreads(maximum: settings.requestsMaximum)
        hangUps = try HangUpWatch()
        callbacks.initialize(
            to: snimok_http_callbacks(
                context: nil,
                begin: { _, target in
                    let exchange = HTTPExchange(target: String(cString: target!))
                    return Unmanaged.passRetained(exchange).toOpaque()
                },
                receive: { context, exchange, connection, method, version, bytes, length in
                    let server = Unmanaged<HTTPServer>.fromOpaque(context!).takeUnretainedValue()
                    let exchange = Unmanaged<HTTPExchange>.fromOpaque(exchange!).takeUnretainedValue()
                    let piece = UnsafeRawBufferPointer(start: bytes, count: length!.pointee)
                    return exchange.receive(
                        connection!, method: String(cString: method!), piece, left: &length!.pointee, server: server)
                        ? 1 : 0
                },
                end: { _, exchange in Unmanaged<HTTPExchange>.fromOpaque(exchange!).takeRetainedValue().end() },
                log: { context, text in
                    let server = Unmanaged<HTTPServer>.fromOpaque(context!).takeUnretainedValue()
                    server.note(String(cString: text!))
                }))
        callbacks.pointee.context = Unmanaged.passUnretained(self).toOpaque()
        do { try listen(host, port) } catch {
            hangUps.stop()
            throw error
        }
    }

    deinit {
        stop()
        callbacks.deallocate()
    }

    private func listen(_ host: String, _ port: UInt16) throws(SystemError) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0, let first = list else {
            throw SystemError("look up", host, code: EADDRNOTAVAIL)
        }
        defer { freeaddrinfo(list) }
        var options = snimok_http_options()
        options.address = UnsafePointer(first.pointee.ai_addr)
        options.connections = settings.connectionsMaximum
        options.connections_per_address =
            settings.isProxy == nil ? settings.connectionsPerAddressMaximum : settings.connectionsMaximum
        options.threads = 2
        options.timeout_seconds = settings.timeoutSeconds
        if let tls = settings.tls {
            daemon = tls.certificate.withCString { certificate in
                tls.key.withCString { key in
                    options.certificate = certificate
                    options.key = key
                    return snimok_http_start(&options, callbacks)
                }
            }
        } else {
            daemon = snimok_http_start(&options, callbacks)
        }
        if daemon == nil { Log.error("HTTP does not start", ["why": lastWords.withLock { $0 }]) }
        guard daemon != nil else { throw SystemError("listen on", "\(host):\(port)") }
    }

    /// Strangers can cause these as often as they like.
    private func note(_ text: String) {
        lastWords.withLock { $0 = text }
        Log.debug("libmicrohttpd", ["says": text])
    }

    package var port: UInt16 { daemon.map { UInt16(truncatingIfNeeded: snimok_http_port($0)) } ?? 0 }

    /// Ends what runs and closes everything.
    package func stop() {
        guard let daemon else { return }
        self.daemon = nil
        let listener = MHD_quiesce_daemon(daemon)
        for exchange in running.withLock({ Array($0.values) }) { exchange.cancel() }
        threads.stop()
        MHD_stop_daemon(daemon)
        hangUps.stop()
        if listener >= 0 { close(listener) }
    }

    // MARK: Requests

    /// Checks what libmicrohttpd leaves to us, and reads the head of a request.
    func request(_ connection: OpaquePointer, _ method: String, _ target: String) throws -> HTTPRequest {
        var read = (headers: HTTPHeaders(), isSound: true)
        withUnsafeMutablePointer(to: &read) { pointer in
            snimok_http_for_each_header(
                connection,
                { context, name, value in
                    let read = context!.assumingMemoryBound(to: (headers: HTTPHeaders, isSound: Bool).self)
                    guard let value else {
                        read.pointee.isSound = false
                        return
                    }
                    read.pointee.headers.append(String(cString: name!), String(cString: value))
                }, pointer)
        }
        guard read.isSound else { throw HTTPProblem(400, "A header field holds a NUL") }
        let headers = read.headers
        guard headers.fields.reduce(0, { $0 + $1.name.utf8.count + $1.value.utf8.count }) <= 32_768 else {
            throw HTTPProblem(431, "The request's header fields are longer than 32 KiB")
        }
        // RFC 9112 section 6.3: a message with both may be an attempt to smuggle another one in.
        let lengths = headers.all("Content-Length")
        if !lengths.isEmpty, headers["Transfer-Encoding"] != nil || Set(lengths).count > 1 {
            throw HTTPProblem(400, "The length of the request's body is ambiguous: send Content-Length or chunks, once")
        }
        guard target.utf8.count <= 16_384 else {
            throw HTTPProblem(414, "The request's address is longer than 16 KiB; ask in smaller pieces")
        }
        guard let (path, query) = HTTPRequest.parse(target: target) else {
            throw HTTPProblem(400, "The request's address is malformed: an escape in it stands for no text")
        }
        let peer = Self.address(connection)
        guard let isProxy = settings.isProxy, isProxy(peer) else {
            return HTTPRequest(
                method: method, path: path, query: query, headers: headers, peerAddress: peer,
                isEncrypted: settings.tls != nil, host: headers["Host"], isForwarded: false)
        }
        let client = ForwardedClient(peer: peer, headers, isProxy: isProxy)
        return HTTPRequest(
            method: method, path: path, query: query, headers: headers, peerAddress: client.address,
            isEncrypted: settings.tls != nil || client.isEncrypted, host: client.host, isForwarded: true)
    }

    /// Connections of a proxy's clients cannot be counted, their requests can.
    private func hasRoom(for request: HTTPRequest) -> Bool {
        guard request.isForwarded else { return true }
        let address = request.peerAddress
        return running.withLock { $0.values.count { $0.request.peerAddress == address } }
            < Int(settings.connectionsPerAddressMaximum)
    }

    private static func address(_ connection: OpaquePointer) -> String {
        guard let peer = snimok_http_peer(connection) else { return "" }
        var host = [CChar](repeating: 0, count: 64)
        let length = peer.pointee.sa_family == sa_family_t(AF_INET6) ? MemoryLayout<sockaddr_in6>.size : 16
        guard getnameinfo(peer, socklen_t(length), &host, 64, nil, 0, NI_NUMERICHOST) == 0 else { return "" }
        return host.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// Runs the handler on a thread of its own.
    func start(_ exchange: HTTPExchange) throws {
        guard hasRoom(for: exchange.request) else {
            throw HTTPProblem(429, "Too many requests of this client are worked on already; wait for their answers")
        }
        running.withLock { $0[ObjectIdentifier(exchange)] = exchange }
        let isTaken = threads.run { [self] in
            run(exchange)
            running.withLock { $0[ObjectIdentifier(exchange)] = nil }
        }
        guard isTaken else {
            running.withLock { $0[ObjectIdentifier(exchange)] = nil }
            throw HTTPProblem(503, "Too many requests wait already; try again later")
        }
    }

    private func run(_ exchange: HTTPExchange) {
        exchange.allowedOrigin = allowedOrigin(exchange.request)
        if let preflight = preflight(exchange) { return exchange.respond(preflight) }
        do {
            try handler(exchange)
            if !exchange.isAnswered { throw HTTPProblem(500, "The request was not answered; see the archive's log") }
        } catch is HTTPPeerGone {
            exchange.finish(completely: false)
        } catch {
            if exchange.isAnswered {
                Log.warning("answer cut off", ["why": "\(error)"])
                exchange.finish(completely: false)
            } else {
                let problem = error as? HTTPProblem ?? HTTPProblem(500, "\(error)")
                if problem.status >= 500 { Log.warning("request failed", ["why": "\(error)"]) }
                exchange.respond(problem.response)
            }
        }
    }

    /// A browser asks before it sends what a form could not (the CORS protocol of the Fetch standard, section 3.2).
    private func preflight(_ exchange: HTTPExchange) -> HTTPResponse? {
        guard exchange.request.method == "OPTIONS", exchange.allowedOrigin != nil,
            exchange.request.headers["Access-Control-Request-Method"] != nil
        else { return nil }
        return HTTPResponse(
            status: 204,
            headers: HTTPHeaders([
                ("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS"),
                ("Access-Control-Allow-Headers", "Accept, Content-Type, If-None-Match, Range, Authorization"),
                ("Access-Control-Max-Age", "600"),
            ]))
    }

    /// Of the request's Origin, if pages from there may read answers.
    private func allowedOrigin(_ request: HTTPRequest) -> String? {
        guard let origin = request.headers["Origin"], settings.allowedOrigins.contains(origin) else { return nil }
        return origin
    }
}

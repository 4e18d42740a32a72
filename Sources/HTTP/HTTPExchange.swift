// SPDX-License-Identifier: Apache-2.0
import CMicroHTTPD
import Glibc
import Platform

/// One request and its answer. The handler's thread reads and writes here with plain blocking calls; libmicrohttpd's
/// thread brings and fetches the bytes and never waits: with nothing to do for a connection it suspends it.
package final class HTTPExchange: @unchecked Sendable {
    /// Bytes held in each direction: what bounds memory, and what makes a fast side wait for a slow one.
    private static let inputCapacity = 256 << 10
    private static let outputCapacity = 640 << 10
    /// What libmicrohttpd fetches at once.
    private static let blockBytes = 256 << 10
    /// The body of a request that was answered early is read up to here, so that the peer sees the answer.
    private static let discardMaximum = 16 << 20
    private static let minimumBytesPerSecond: UInt64 = 1000
    private static let graceSeconds: UInt64 = 30

    private enum Answer {
        case none
        case whole(HTTPResponse)
        case streamed(HTTPResponse, length: UInt64?)

        var isNone: Bool {
            if case .none = self { return true }
            return false
        }
    }

    private struct State {
        var connection: OpaquePointer?
        var isSuspended = false
        /// The request is over for libmicrohttpd, or for the server as a whole.
        var isOver = false
        let input = ByteRing(capacity: HTTPExchange.inputCapacity)
        var inputBytes: UInt64 = 0
        var inputEnded = false
        var discarded = 0
        /// What had come of the body when the peer was first seen to have hung up.
        var bytesAtHangUp: UInt64?
        var answer = Answer.none
        let output = ByteRing(capacity: HTTPExchange.outputCapacity)
        /// Whether the output is complete; nil: more may come.
        var outputEnded: Bool?

        mutating func suspend() {
            MHD_suspend_connection(connection)
            isSuspended = true
        }

        mutating func resume() {
            guard isSuspended else { return }
            isSuspended = false
            MHD_resume_connection(connection)
        }
    }

    private let target: String
    private let state = Monitor(State())
    private let startedAt = Clock.monotonicNanoseconds()
    private var hasBegun = false
    /// Looks after the peer while its request is still to come.
    private var watch: HangUpWatch?
    /// Set before the handler begins.
    package private(set) var request: HTTPRequest!
    /// Runs once before the first byte of the answer is handed over, with its status; what it throws is answered instead.
    package var beforeAnswer: ((Int) throws -> Void)?
    /// What the handler keeps with the request.
    package var companion: AnyObject?
    /// Whose pages may read the answer (CORS); nil: nobody's but our own.
    var allowedOrigin: String?

    init(target: String) { self.target = target }

    // MARK: libmicrohttpd's side

    /// Takes headers (the first call), a piece of the body, or its end.
    /// - Parameter left: the bytes that could not be taken yet.
    /// - Returns: false: close the connection.
    func receive(
        _ connection: OpaquePointer, method: String, _ bytes: UnsafeRawBufferPointer, left: inout Int,
        server: HTTPServer
    ) -> Bool {
        guard hasBegun else {
            hasBegun = true
            return begin(connection, method, server)
        }
        if bytes.count == 0 { stopWatching() }
        return state.update { state in
            if bytes.count > 0 { return Self.receive(body: bytes, left: &left, &state) }
            state.inputEnded = true
            if state.answer.isNone {
                state.suspend()
                return true
            }
            return queue(state.answer, connection)
        }
    }

    private func begin(_ connection: OpaquePointer, _ method: String, _ server: HTTPServer) -> Bool {
        state.update { $0.connection = connection }
        do {
            request = try server.request(connection, method, target)
            if request.headers["Content-Length"] ?? "0" != "0" || request.headers["Transfer-Encoding"] != nil {
                watch = server.hangUps
                server.hangUps.add(self)
            }
            try server.start(self)
            return true
        } catch {
            var response = (error as? HTTPProblem ?? HTTPProblem(500, "\(error)")).response
            // What is left of such a request may be anything, so the connection is not used again.
            response.headers.append("Connection", "close")
            state.update { $0.answer = .whole(response) }
            return queue(.whole(response), connection)
        }
    }

    private static func receive(body bytes: UnsafeRawBufferPointer, left: inout Int, _ state: inout State) -> Bool {
        guard state.answer.isNone else {
            // libmicrohttpd lets us answer only behind the body.
            state.discarded += bytes.count
            left = 0
            return state.discarded <= discardMaximum
        }
        let taken = state.input.append(bytes)
        state.inputBytes += UInt64(taken)
        left = bytes.count - taken
        if left > 0 { state.suspend() }
        return true
    }

    private func queue(_ answer: Answer, _ connection: OpaquePointer) -> Bool {
        let head: HTTPResponse
        let response: OpaquePointer?
        switch answer {
        case .none: return false
        case .whole(let whole):
            head = whole
            response = Self.response(whole.body)
        case .streamed(let streamed, let length):
            head = streamed
            response = snimok_http_response_streamed(
                length ?? snimok_http_unknown_length(), Self.blockBytes,
                { context, _, target, maximum in
                    let exchange = Unmanaged<HTTPExchange>.fromOpaque(context!).takeUnretainedValue()
                    return exchange.give(UnsafeMutableRawBufferPointer(start: target, count: maximum))
                }, Unmanaged.passUnretained(self).toOpaque())
        }
        guard let response else { return false }
        defer { MHD_destroy_response(response) }
        for field in head.headers.fields { MHD_add_response_header(response, field.name, field.value) }
        for field in commonHeaders { MHD_add_response_header(response, field.0, field.1) }
        return snimok_http_queue(connection, UInt32(head.status), response) != 0
    }

    /// libmicrohttpd holds the body until it is sent.
    private static func response(_ body: HTTPBody) -> OpaquePointer? {
        let pieces = body.pieces.map { MHD_IoVec(iov_base: $0.bytes.baseAddress, iov_len: $0.bytes.count) }
        let sent = Unmanaged.passRetained(body)
        let response = snimok_http_response(
            pieces, UInt32(pieces.count), { Unmanaged<HTTPBody>.fromOpaque($0!).release() }, sent.toOpaque())
        if response == nil { sent.release() }
        return response
    }

    private var commonHeaders: [(String, String)] {
        var fields = [("X-Content-Type-Options", "nosniff")]
        if let allowedOrigin {
            fields += [
                ("Access-Control-Allow-Origin", allowedOrigin), ("Vary", "Origin"),
                (
                    "Access-Control-Expose-Headers",
                    "X-Total-Count, X-Total-Count-Relation, Warning, ETag, Content-Range"
                ),
            ]
        }
        return fields
    }

    private func give(_ target: UnsafeMutableRawBufferPointer) -> Int {
        state.update { state in
            let given = state.output.take(into: target)
            if given > 0 { return given }
            switch state.outputEnded {
            case true?: return snimok_http_stream_end()
            case false?: return snimok_http_stream_error()
            case nil:
                state.suspend()
                return 0
            }
        }
    }

    private func stopWatching() {
        watch?.remove(self)
        watch = nil
    }

    /// libmicrohttpd is done with the request.
    func end() {
        stopWatching()
        state.update {
            $0.isOver = true
            $0.isSuspended = false
        }
    }

    /// Closes the connection of a peer that hung up in the middle of its request; called once a second. What came just before
    /// it did may be on its way to us still, and be the rest: so it must have been like this at the last look, too.
    func closeIfPeerIsGone() {
        state.withLock { state in
            // Until `end` was called the descriptor is this connection's.
            guard !state.isOver, !state.isSuspended, let connection = state.connection else { return }
            let descriptor = snimok_http_descriptor(connection)
            var byte: UInt8 = 0
            guard recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) == 0 else { return }
            let bytes = state.inputBytes + UInt64(state.discarded)
            if state.bytesAtHangUp == bytes { shutdown(descriptor, Int32(SHUT_RDWR)) }
            state.bytesAtHangUp = bytes
        }
    }

    /// The server stops: whoever waits here goes on to its end.
    func cancel() {
        state.update { state in
            if state.answer.isNone { state.answer = .whole(HTTPProblem(503, "The archive is stopping").response) }
            if state.outputEnded == nil { state.outputEnded = false }
            state.resume()
        }
    }

    // MARK: The handler's side

    /// Reads the next bytes of the body; 0 at its end.
    package func read(into target: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            let given = state.wait(until: Clock.deadline(seconds: 1)) { state -> Int?? in
                let given = state.input.take(into: target)
                if given > 0 {
                    state.resume()
                    return given
                }
                if state.inputEnded { return 0 }
                return state.isOver || state.outputEnded != nil || isTooSlow(state) ? .some(nil) : nil
            }
            guard let given else { continue }
            guard let given else { throw HTTPPeerGone() }
            return given
        }
    }

    /// Reads the whole of a small body; nil: it is longer than that.
    package func body(atMost maximumBytes: Int) throws -> [UInt8]? {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: min(maximumBytes, 64 << 10))
        while true {
            let count = try piece.withUnsafeMutableBytes { try read(into: $0) }
            guard count > 0 else { return bytes }
            bytes += piece[..<count]
            guard bytes.count <= maximumBytes else { return nil }
        }
    }

    /// A peer that sends a byte now and then occupies a thread for nothing.
    private func isTooSlow(_ state: State) -> Bool {
        let seconds = (Clock.monotonicNanoseconds() - startedAt) / 1_000_000_000
        return seconds > Self.graceSeconds && state.inputBytes / seconds < Self.minimumBytesPerSecond
    }

    /// Answers with a body in memory. Once for each request, or `begin`.
    package func respond(_ response: HTTPResponse) {
        var response = response
        do { try prepareAnswer(response.status) } catch {
            response = (error as? HTTPProblem ?? HTTPProblem(500, "\(error)")).response
        }
        state.update { state in
            if state.answer.isNone { state.answer = .whole(response) }
            state.resume()
        }
    }

    /// Begins an answer whose body follows by `write` and ends by `finish`.
    /// - Parameter length: of the body; nil: not known before.
    package func begin(_ head: HTTPResponse, length: UInt64?) throws {
        try prepareAnswer(head.status)
        try state.update { state in
            guard state.answer.isNone, !state.isOver else { throw HTTPPeerGone() }
            state.answer = .streamed(head, length: length)
            state.resume()
        }
        // Nobody wants the body (RFC 9110 section 9.3.2).
        if request.method == "HEAD" { throw HTTPPeerGone() }
    }

    private func prepareAnswer(_ status: Int) throws {
        let body = beforeAnswer
        beforeAnswer = nil
        try body?(status)
    }

    /// Whether an answer was given or begun, so that no other can be.
    package var isAnswered: Bool { state.withLock { !$0.answer.isNone } }

    /// Writes a piece of a streamed answer; waits while the peer is behind.
    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while rest.count > 0 {
            let taken = state.wait { state -> Int? in
                if state.isOver || state.outputEnded != nil { return -1 }
                let taken = state.output.append(rest)
                guard taken > 0 else { return nil }
                state.resume()
                return taken
            }!
            guard taken > 0 else { throw HTTPPeerGone() }
            rest = rest.part(taken..<rest.count)
        }
    }

    package func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

    package func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
    }

    /// Ends a streamed answer. `completely` false: the connection is cut, so that the peer sees that something is missing.
    package func finish(completely: Bool = true) {
        state.update { state in
            if state.outputEnded == nil { state.outputEnded = completely }
            state.resume()
        }
    }
}

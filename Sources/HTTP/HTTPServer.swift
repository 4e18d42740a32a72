// SPDX-License-Identifier: Apache-2.0
import CMicroHTTPD
import Glibc
import Platform

/// An answer with its body in memory.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(status: Int = 200, contentType: String, body: String) {
        self.status = status
        headers = [("Content-Type", contentType), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]
        self.body = Array(body.utf8)
    }
}

/// The HTTP server: libmicrohttpd parses, its thread calls the handler.
package final class HTTPServer: @unchecked Sendable {
    package typealias Handler = @Sendable (_ method: String, _ path: String) -> HTTPResponse

    private let handler: Handler
    private var daemon: OpaquePointer?
    private let pair = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 2)

    /// Listens on `host` (an address or a name) and begins to answer.
    package init(host: String, port: UInt16, connectionsMaximum: UInt32 = 1000, handler: @escaping Handler)
        throws(SystemError)
    {
        self.handler = handler
        pair.initialize(repeating: nil, count: 2)
        let callback: snimok_http_handler = { context, connection, url, method in
            let server = Unmanaged<HTTPServer>.fromOpaque(context!).takeUnretainedValue()
            return server.answer(connection!, String(cString: method!), String(cString: url!))
        }
        pair[0] = unsafeBitCast(callback, to: UnsafeMutableRawPointer.self)
        pair[1] = Unmanaged.passUnretained(self).toOpaque()
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0, let first = list else {
            throw SystemError("look up", host, code: EADDRNOTAVAIL)
        }
        defer { freeaddrinfo(list) }
        daemon = snimok_http_start(first.pointee.ai_addr, connectionsMaximum, pair)
        guard daemon != nil else { throw SystemError("listen on", "\(host):\(port)") }
    }

    deinit {
        stop()
        pair.deallocate()
    }

    package var port: UInt16 { daemon.map { UInt16(truncatingIfNeeded: snimok_http_port($0)) } ?? 0 }

    package func stop() {
        if let daemon { MHD_stop_daemon(daemon) }
        daemon = nil
    }

    private func answer(_ connection: OpaquePointer, _ method: String, _ path: String) -> Int32 {
        var answer = handler(method, path)
        if method == "HEAD" { answer.body = [] }
        guard let response = answer.body.withUnsafeBytes({ snimok_http_response($0.baseAddress, $0.count) }) else {
            return 0
        }
        defer { MHD_destroy_response(response) }
        for header in answer.headers { MHD_add_response_header(response, header.name, header.value) }
        return snimok_http_queue(connection, UInt32(answer.status), response)
    }
}

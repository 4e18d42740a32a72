// SPDX-License-Identifier: Apache-2.0

/// Writes a `multipart/related` answer part by part (RFC 2387).
package struct MultipartWriter {
    private let exchange: HTTPExchange
    private let boundary: String

    /// - Parameters:
    ///   - type: the media type of the parts.
    ///   - lengths: of all parts, if they are known, are of the content type, and have no location: the answer then has a
    ///     length too, and clients read it faster than chunks.
    package init(
        _ exchange: HTTPExchange, type: String, headers: HTTPHeaders = HTTPHeaders(),
        parts: (contentType: String, lengths: [UInt64])? = nil
    ) throws {
        self.exchange = exchange
        let boundary = Self.newBoundary()
        self.boundary = boundary
        let length = parts.map { parts in
            parts.lengths.reduce(UInt64(Self.end(boundary).utf8.count)) {
                $0 + UInt64(Self.head(boundary, parts.contentType, length: $1, location: nil).utf8.count) + $1
            }
        }
        try exchange.begin(
            HTTPResponse(
                contentType: "multipart/related; type=\"\(type)\"; boundary=\(boundary)", headers: headers),
            length: length)
    }

    /// A whole answer of one part.
    package static func response(type: String, contentType: String, body: HTTPBody) -> HTTPResponse {
        let boundary = newBoundary()
        let head = head(boundary, contentType, length: UInt64(body.count), location: nil)
        return HTTPResponse(
            contentType: "multipart/related; type=\"\(type)\"; boundary=\(boundary)",
            body: body.wrapped(in: head, end(boundary)))
    }

    /// Random, so that no content can hold it by intent; always as long, so that HEAD tells the length of GET.
    private static func newBoundary() -> String {
        let digits = (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined()
        return "snimok-" + String(repeating: "0", count: 26 - digits.count) + digits
    }

    private static func head(_ boundary: String, _ contentType: String, length: UInt64?, location: String?) -> String {
        var head = "\r\n--\(boundary)\r\nContent-Type: \(contentType)\r\n"
        if let length { head += "Content-Length: \(length)\r\n" }
        if let location { head += "Content-Location: \(location)\r\n" }
        return head + "\r\n"
    }

    private static func end(_ boundary: String) -> String { "\r\n--\(boundary)--\r\n" }

    /// Begins a part; its body follows by `write`.
    package func beginPart(_ contentType: String, length: UInt64? = nil, location: String? = nil) throws {
        try exchange.write(Self.head(boundary, contentType, length: length, location: location))
    }

    package func write(_ bytes: UnsafeRawBufferPointer) throws { try exchange.write(bytes) }
    package func write(_ bytes: [UInt8]) throws { try exchange.write(bytes) }
    package func write(_ body: HTTPBody) throws {
        for piece in body.pieces { try exchange.write(piece.bytes) }
    }

    package func finish() throws {
        try exchange.write(Self.end(boundary))
        exchange.finish()
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Writes a `multipart/related` answer part by part (RFC 2387).
package struct MultipartWriter {
    private let exchange: HTTPExchange
    private let boundary: String

    /// - Parameter type: the media type of the parts.
    package init(_ exchange: HTTPExchange, type: String, headers: HTTPHeaders = HTTPHeaders()) throws {
        self.exchange = exchange
        // Random, so that no content can hold it by intent.
        boundary = "snimok-" + (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined()
        try exchange.begin(
            HTTPResponse(
                contentType: "multipart/related; type=\"\(type)\"; boundary=\(boundary)", headers: headers),
            length: nil)
    }

    /// Begins a part; its body follows by `write`.
    package func beginPart(_ contentType: String, length: UInt64? = nil, location: String? = nil) throws {
        var head = "\r\n--\(boundary)\r\nContent-Type: \(contentType)\r\n"
        if let length { head += "Content-Length: \(length)\r\n" }
        if let location { head += "Content-Location: \(location)\r\n" }
        try exchange.write(head + "\r\n")
    }

    package func write(_ bytes: UnsafeRawBufferPointer) throws { try exchange.write(bytes) }
    package func write(_ bytes: [UInt8]) throws { try exchange.write(bytes) }

    package func finish() throws {
        try exchange.write("\r\n--\(boundary)--\r\n")
        exchange.finish()
    }
}

// SPDX-License-Identifier: Apache-2.0

/// A request without its body.
package struct HTTPRequest: Sendable {
    package let method: String
    /// The path's segments, percent-decoded; `/a/b` and `/a/b/` differ by an empty last one.
    package let path: [String]
    /// In the order of the request, percent-decoded.
    package let query: [(name: String, value: String)]
    package let headers: HTTPHeaders
    /// The client's numeric address: the peer's, or what a trusted proxy says of its own.
    package let peerAddress: String
    /// Whether the client speaks TLS, to the archive itself or to a trusted proxy.
    package let isEncrypted: Bool
    /// The name and port that the client asked for, as it or a trusted proxy says: not to be believed unlooked at.
    package let host: String?
    /// Whether a trusted proxy brought it.
    package let isForwarded: Bool

    /// The scheme and host that the client sees; nil: it does not say a host, or one that is none.
    package var origin: String? {
        // A name, an address or one in brackets, and a port: nothing else gets into answers.
        guard let host, !host.isEmpty, host.utf8.count <= 260,
            host.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || ".-:[]".contains($0)) })
        else { return nil }
        return "\(isEncrypted ? "https" : "http")://\(host)"
    }

    package var isReading: Bool { ["GET", "HEAD", "OPTIONS"].contains(method) }

    package init(
        method: String, path: [String], query: [(name: String, value: String)], headers: HTTPHeaders,
        peerAddress: String, isEncrypted: Bool = false, host: String? = nil, isForwarded: Bool = false
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.peerAddress = peerAddress
        self.isEncrypted = isEncrypted
        self.host = host
        self.isForwarded = isForwarded
    }

    package subscript(query name: String) -> String? { query.first { $0.name == name }?.value }

    /// Splits and decodes a request target (RFC 3986 sections 2.1 and 3.3). Nil: an escape is broken, or what it stands
    /// for is no text: a control character, a NUL, bytes that are no UTF-8.
    package static func parse(target: String) -> (path: [String], query: [(name: String, value: String)])? {
        var target = Substring(target)
        // The absolute form is for proxies, but must be understood (RFC 9112 section 3.2.2).
        if target.hasPrefix("http://") || target.hasPrefix("https://") {
            guard let slashes = target.firstRange(of: "//") else { return nil }
            let authority = target[slashes.upperBound...]
            target = authority.firstIndex(of: "/").map { authority[$0...] } ?? "/"
        }
        // By bytes: a character of Swift may be several, the first of which is one that counts.
        let parts = target.utf8.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, first.first == UInt8(ascii: "/") else { return nil }
        var path: [String] = []
        for segment in first.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            guard let text = decode(segment, plusIsSpace: false) else { return nil }
            path.append(text)
        }
        var query: [(name: String, value: String)] = []
        for item in parts.count > 1 ? parts[1].split(separator: UInt8(ascii: "&")) : [] {
            let pair = item.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = decode(pair[0], plusIsSpace: true),
                let value = decode(pair.count > 1 ? pair[1] : Substring("").utf8, plusIsSpace: true)
            else { return nil }
            query.append((name, value))
        }
        return (path, query)
    }

    private static func decode(_ text: Substring.UTF8View, plusIsSpace: Bool) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var source = text.makeIterator()
        while let byte = source.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = source.next().flatMap(hexadecimal), let low = source.next().flatMap(hexadecimal)
                else { return nil }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(0x20)
            default: bytes.append(byte)
            }
        }
        guard !bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexadecimal(_ letter: UInt8) -> UInt8? {
        switch letter {
        case 0x30...0x39: letter - 0x30
        case 0x41...0x46: letter - 0x41 + 10
        case 0x61...0x66: letter - 0x61 + 10
        default: nil
        }
    }
}

/// Header fields; names compare without regard to case.
package struct HTTPHeaders: Sendable {
    package private(set) var fields: [(name: String, value: String)] = []

    package init(_ fields: [(name: String, value: String)] = []) { self.fields = fields }

    package mutating func append(_ name: String, _ value: String) { fields.append((name, value)) }

    /// All lines of a field, joined as RFC 9110 section 5.3 has it.
    package subscript(name: String) -> String? {
        let values = all(name)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    package func all(_ name: String) -> [String] {
        fields.filter { Self.isSame($0.name, name) }.map(\.value)
    }

    private static func isSame(_ one: String, _ other: String) -> Bool {
        one.utf8.count == other.utf8.count && zip(one.utf8, other.utf8).allSatisfy { lowercased($0) == lowercased($1) }
    }

    private static func lowercased(_ letter: UInt8) -> UInt8 { (0x41...0x5A).contains(letter) ? letter | 0x20 : letter }
}

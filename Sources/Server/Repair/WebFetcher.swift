// SPDX-License-Identifier: Apache-2.0
import CSystem
import DICOM
import Glibc
import Platform
import Transport

/// `http://host:port/path`
struct WebAddress {
    let host: String
    let port: UInt16
    /// Without a slash at its end.
    let path: String

    init?(_ text: String) {
        guard text.hasPrefix("http://") else { return nil }
        let rest = text.dropFirst("http://".count)
        let authority = rest.prefix { $0 != "/" }
        var path = rest.dropFirst(authority.count)
        while path.hasSuffix("/") { path.removeLast() }
        let isPlain = { (text: Substring) in text.utf8.allSatisfy { (0x21...0x7E).contains($0) } }
        guard isPlain(authority), isPlain(path), !authority.contains("@") else { return nil }
        self.path = String(path)
        // `[::1]:8080`
        let end = authority.hasPrefix("[") ? authority.firstIndex(of: "]") : nil
        let name = end.map { authority.dropFirst().prefix(upTo: $0) } ?? authority.prefix { $0 != ":" }
        let tail = end.map { authority[authority.index(after: $0)...] } ?? authority.dropFirst(name.count)
        guard !name.isEmpty, tail.isEmpty || tail.hasPrefix(":") else { return nil }
        guard let port = tail.count > 1 ? UInt16(tail.dropFirst()) : 80 else { return nil }
        host = String(name)
        self.port = port
    }

    var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Fetches one instance by WADO-RS (PS3.18 section 10.4), as it is stored.
struct WebFetcher {
    /// What went wrong, in a sentence.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let headMaximum = 65_536
    private static let silenceSeconds = 60.0
    private let root: WebAddress

    init(_ root: WebAddress) { self.root = root }

    /// Writes the instance into a new file at `path`.
    /// - Returns: false: there is none.
    func fetch(_ resource: String, to path: String) throws -> Bool {
        let socket = try Socket.connect(
            to: .tcp(host: root.host, port: root.port), deadline: Clock.deadline(seconds: 30))
        // Version 1.0: the answer comes in one piece and ends with the connection.
        let request = """
            GET \(root.path)\(resource) HTTP/1.0\r
            Host: \(root.authority)\r
            Accept: multipart/related; type="application/dicom"; transfer-syntax=*\r
            Connection: close\r
            \r

            """
        try socket.sendAll(Array(request.utf8), deadline: Clock.deadline(seconds: Self.silenceSeconds))
        var bytes: [UInt8] = []
        guard let end = try receiveHead(&bytes, socket) else {
            throw Failure(description: "\(root.authority) gave no answer")
        }
        let head = WebResponseHead(bytes[..<end])
        if [404, 410].contains(head.status) { return false }
        guard head.status == 200 else {
            throw Failure(description: "\(root.authority) answered \(head.status)")
        }
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_EXCL)
        try receiveBody(Array(bytes[end...]), head, socket, file)
        return true
    }

    private var name: String { root.authority }

    private func waitForBytes(_ socket: Socket) throws {
        var entry = pollfd(fd: socket.file.raw, events: Int16(POLLIN), revents: 0)
        guard try retryingInterrupts("poll", name, { poll(&entry, 1, Int32(Self.silenceSeconds * 1000)) }) > 0 else {
            throw Failure(description: "\(root.authority) is silent")
        }
    }

    /// - Returns: how many bytes came; 0: that was all.
    private func receive(_ buffer: inout [UInt8], _ socket: Socket) throws -> Int {
        while true {
            try waitForBytes(socket)
            let count = buffer.withUnsafeMutableBytes { recv(socket.file.raw, $0.baseAddress!, $0.count, 0) }
            if count >= 0 { return count }
            if errno != EAGAIN, errno != EINTR { throw SystemError("recv", name) }
        }
    }

    /// - Returns: where the body begins.
    private func receiveHead(_ bytes: inout [UInt8], _ socket: Socket) throws -> Int? {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < Self.headMaximum {
            let count = try receive(&buffer, socket)
            if count == 0 { return nil }
            bytes += buffer[..<count]
            if let end = Self.endOfHead(bytes[...]) { return end }
        }
        return nil
    }

    private static func endOfHead(_ bytes: ArraySlice<UInt8>) -> Int? {
        let mark: [UInt8] = [13, 10, 13, 10]
        return bytes.indices.dropLast(3).first { bytes[$0..<$0 + 4].elementsEqual(mark) }.map { $0 + 4 }
    }

    /// The body is written as it is, then what frames its one part is cut off.
    private func receiveBody(
        _ first: [UInt8], _ head: WebResponseHead, _ socket: Socket, _ file: FileDescriptor
    ) throws {
        var start = 0
        var piece = first
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        func more() throws -> Bool {
            let count = try receive(&buffer, socket)
            piece += buffer[..<count]
            return count > 0
        }
        if head.isMultipart {
            // The first part's own head, which ends as an answer's does.
            while Self.endOfHead(piece[...]) == nil, piece.count < Self.headMaximum, try more() {}
            guard let end = Self.endOfHead(piece[...]) else {
                throw Failure(description: "\(root.authority) sent no part")
            }
            start = end
        }
        var received = UInt64(piece.count)
        var length: UInt64 = 0
        var rest = piece[start...]
        repeat {
            try Array(rest).withRawBytes { bytes throws(SystemError) in try file.write(bytes, at: length) }
            length += UInt64(rest.count)
            let count = try receive(&buffer, socket)
            received += UInt64(count)
            rest = buffer[..<count]
        } while !rest.isEmpty
        if let expected = head.contentLength, expected != received {
            throw Failure(description: "\(root.authority) sent \(received) bytes of \(expected)")
        }
        if head.isMultipart { try file.truncate(to: try endOfPart(file, length, head)) }
    }

    private func endOfPart(_ file: FileDescriptor, _ length: UInt64, _ head: WebResponseHead) throws -> UInt64 {
        let tailBytes = min(length, 4096)
        var tail = [UInt8](repeating: 0, count: Int(tailBytes))
        _ = try tail.withMutableRawBytes { bytes throws(SystemError) in
            try file.read(into: bytes, at: length - tailBytes)
        }
        let mark = Array("\r\n--\(head.boundary)--".utf8)
        guard tail.count >= mark.count,
            let place = (0...tail.count - mark.count).last(where: { tail[$0..<$0 + mark.count].elementsEqual(mark) })
        else { throw Failure(description: "\(root.authority) did not end its answer") }
        return length - tailBytes + UInt64(place)
    }
}

/// Status line and header fields of an answer.
private struct WebResponseHead {
    private(set) var status = 0
    private(set) var contentLength: UInt64?
    private(set) var isMultipart = false
    private(set) var boundary = ""

    init(_ bytes: ArraySlice<UInt8>) {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
        let words = (lines.first ?? "").split(separator: " ")
        status = words.count > 1 ? Int(words[1]) ?? 0 : 0
        for line in lines.dropFirst() {
            let name = line.prefix { $0 != ":" }.lowercased()
            let value = line.dropFirst(name.count + 1).drop { $0 == " " }
            switch name {
            case "content-length": contentLength = UInt64(value)
            case "content-type":
                isMultipart = value.lowercased().hasPrefix("multipart/")
                boundary = Self.boundary(value)
            default: continue
            }
        }
    }

    private static func boundary(_ value: Substring) -> String {
        for part in value.split(separator: ";") {
            let parameter = part.drop { $0 == " " }
            guard parameter.lowercased().hasPrefix("boundary=") else { continue }
            return String(parameter.dropFirst("boundary=".count).filter { $0 != "\"" })
        }
        return ""
    }
}

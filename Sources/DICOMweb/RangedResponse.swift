// SPDX-License-Identifier: Apache-2.0
import BlobLog
import HTTP
import Platform

/// An answer of known length, or the range of it that is asked for (RFC 9110 section 14).
struct RangedResponse {
    private let exchange: HTTPExchange
    private let type: String
    private let tag: String

    /// - Parameter tag: the content's entity tag.
    init(_ exchange: HTTPExchange, type: String, tag: String) {
        self.exchange = exchange
        self.type = type
        self.tag = tag
    }

    func send(_ body: HTTPBody) throws {
        guard let range = try range(of: UInt64(body.count)) else { return }
        var response = head(range, of: UInt64(body.count))
        response.body = body.part(Int(range.lowerBound)..<Int(range.upperBound))
        exchange.respond(response)
    }

    /// Sends a part of a stored payload.
    func send(_ record: StoredRecord, _ whole: Range<UInt64>) throws {
        guard let range = try range(of: UInt64(whole.count)) else { return }
        let wanted = whole.lowerBound + range.lowerBound..<whole.lowerBound + range.upperBound
        let buffer = ReadBuffer()
        // What is damaged must still be an error, so the first piece is verified before the answer begins.
        if !wanted.isEmpty {
            _ = try record.read(wanted.lowerBound..<min(wanted.upperBound, wanted.lowerBound + 65_536), into: buffer)
        }
        try exchange.begin(head(range, of: UInt64(whole.count)), length: UInt64(range.count))
        try record.sendPieces(in: wanted, buffer: buffer) { try exchange.write($0) }
        exchange.finish()
    }

    /// Sends fragments one behind the other.
    func send(_ record: StoredRecord, fragments: [Range<UInt64>]) throws {
        let length = fragments.reduce(0) { $0 + UInt64($1.count) }
        guard let wanted = try range(of: length) else { return }
        try exchange.begin(head(wanted, of: length), length: UInt64(wanted.count))
        let buffer = ReadBuffer()
        var start: UInt64 = 0
        for fragment in fragments {
            let end = start + UInt64(fragment.count)
            if wanted.overlaps(start..<end) {
                let part = wanted.clamped(to: start..<end)
                let first = fragment.lowerBound + (part.lowerBound - start)
                try record.sendPieces(in: first..<first + UInt64(part.count), buffer: buffer) { try exchange.write($0) }
            }
            start += UInt64(fragment.count)
        }
        exchange.finish()
    }

    /// - Returns: nil: answered already.
    private func range(of length: UInt64) throws -> Range<UInt64>? {
        if EntityTag.matches(exchange.request.headers["If-None-Match"], tag) {
            exchange.respond(HTTPResponse(status: 304, headers: HTTPHeaders([("ETag", tag)])))
            return nil
        }
        // A range of another version would be put together with what the client has of this one.
        let condition = exchange.request.headers["If-Range"]
        let header = condition == nil || condition == tag ? exchange.request.headers["Range"] : nil
        switch ByteRange(header, length: length) {
        case .whole: return 0..<length
        case .part(let range): return range
        case .unsatisfiable:
            throw HTTPProblem(
                416, "The range lies beyond the end: there are \(length) bytes",
                headers: HTTPHeaders([("Content-Range", "bytes */\(length)")]))
        }
    }

    private func head(_ range: Range<UInt64>, of length: UInt64) -> HTTPResponse {
        let isPart = UInt64(range.count) != length
        var headers = HTTPHeaders([("ETag", tag), ("Accept-Ranges", "bytes"), ("Cache-Control", "private, no-cache")])
        if isPart {
            headers.append("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(length)")
        }
        return HTTPResponse(status: isPart ? 206 : 200, contentType: type, headers: headers)
    }
}

// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP

@Suite("Multipart bodies (RFC 2046 section 5.1)")
struct MultipartTests {
    /// Reads all parts, with the body coming in pieces of `step` bytes.
    private func parts(_ body: String, boundary: String = "B", step: Int) throws -> [(head: String, body: String)] {
        var rest = Array(body.utf8)[...]
        let reader = try MultipartReader(boundary: boundary) { target in
            let piece = rest.prefix(min(step, target.count))
            rest = rest.dropFirst(piece.count)
            target.copyBytes(from: piece)
            return piece.count
        }
        var parts: [(head: String, body: String)] = []
        while let head = try reader.nextPart() {
            var bytes: [UInt8] = []
            try reader.forEachPiece { bytes.append(contentsOf: $0) }
            parts.append((head["content-type"] ?? "", String(decoding: bytes, as: UTF8.self)))
        }
        return parts
    }

    @Test("The same parts, however the bytes come", arguments: [1, 2, 3, 7, 64, 1 << 20])
    func pieces(step: Int) throws {
        let body =
            "preamble\r\n--B\r\nContent-Type: a/b\r\n\r\none\r\n--Bx\r\n\r\n--B  \r\n\r\n\r\n--B\r\nX: y\r\n\r\n--B--\r\nepilogue"
        let found = try parts(body, step: step)
        #expect(found.map(\.head) == ["a/b", "", ""])
        #expect(found.map(\.body) == ["one\r\n--Bx\r\n", "", ""])
    }

    @Test("A delimiter at the very beginning needs no line break", arguments: [1, 100])
    func first(step: Int) throws {
        #expect(try parts("--B\r\n\r\nx\r\n--B--", step: step).map(\.body) == ["x"])
        #expect(try parts("--B--", step: step).isEmpty)
    }

    @Test(
        "Bodies that end early or lie",
        arguments: [
            "", "x", "--B", "--B\r\n", "--B\r\nA: b", "--B\r\n\r\nbody", "--B\r\n\r\nbody\r\n--B",
            "--B\r\nno colon\r\n\r\n",
        ])
    func broken(body: String) {
        #expect(throws: HTTPProblem.self) { try parts(body, step: 3) }
    }

    @Test("Boundaries have 1 to 70 characters, headers of a part at most 16 KiB")
    func limits() {
        #expect(throws: HTTPProblem.self) { try parts("", boundary: "", step: 1) }
        #expect(throws: HTTPProblem.self) { try parts("", boundary: String(repeating: "b", count: 4096), step: 1) }
        let long = "--B\r\nA: " + String(repeating: "x", count: 20_000) + "\r\n\r\n\r\n--B--"
        #expect(throws: HTTPProblem.self) { try parts(long, step: 1000) }
    }
}

@Suite("Bytes between threads")
struct ByteRingTests {
    @Test("What goes in comes out, around the end too")
    func order() {
        let ring = ByteRing(capacity: 7)
        var sent: [UInt8] = []
        var received: [UInt8] = []
        var next: UInt8 = 0
        for step in 0..<200 {
            let piece = (0..<(step % 5 + 1)).map { _ in
                next &+= 1
                return next
            }
            let taken = piece.withUnsafeBytes { ring.append($0) }
            sent += piece.prefix(taken)
            next &-= UInt8(piece.count - taken)
            var target = [UInt8](repeating: 0, count: step % 4)
            let given = target.withUnsafeMutableBytes { ring.take(into: $0) }
            received += target.prefix(given)
            #expect(ring.count + ring.room == 7)
        }
        #expect(sent.starts(with: received))
        #expect(sent.count - received.count == ring.count)
    }
}

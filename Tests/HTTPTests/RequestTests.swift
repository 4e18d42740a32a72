// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP

@Suite("Request targets (RFC 3986, RFC 9112)")
struct RequestTargetTests {
    @Test(
        "Targets that are understood",
        arguments: [
            ("/", [""], []), ("/a/b", ["a", "b"], []), ("/a/b/", ["a", "b", ""], []),
            ("/a%20b?x=1&y", ["a b"], ["x=1", "y="]), ("/s?N=%D0%98+v", ["s"], ["N=И v"]),
            ("http://h:1/p?q=%3D", ["p"], ["q=="]), ("http://h", [""], []), ("/p?a=1&a=2", ["p"], ["a=1", "a=2"]),
            ("/%2e%2e/x", ["..", "x"], []), ("/a%2Fb", ["a/b"], []),
            // An accent that follows a sign makes one character of both, and yet the sign counts.
            ("/a/\u{301}b?\u{301}x=\u{301}1&\u{301}y", ["a", "\u{301}b"], ["\u{301}x=\u{301}1", "\u{301}y="]),
        ] as [(String, [String], [String])])
    func understood(target: String, path: [String], query: [String]) throws {
        let parsed = try #require(HTTPRequest.parse(target: target))
        #expect(parsed.path == path)
        #expect(parsed.query.map { "\($0.name)=\($0.value)" } == query)
    }

    @Test(
        "Targets that stand for no text are refused",
        arguments: ["x", "/%", "/%4", "/%zz", "/%00", "/a%0Ab", "/%ff", "/?q=%0d"])
    func refused(target: String) { #expect(HTTPRequest.parse(target: target) == nil) }
}

@Suite("Media types and Accept (RFC 9110 section 12.5.1)")
struct MediaTypeTests {
    @Test("Accept headers as viewers send them")
    func viewers() {
        let ohif = MediaType.list(
            "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*; transfer-syntax=*"
        )
        #expect(ohif.map(\.name) == ["application/dicom+json", "multipart/related"])
        #expect(ohif[1]["type"] == "application/octet-stream")
        #expect(ohif[1]["transfer-syntax"] == "*")
        let weighted = MediaType.list(
            "text/html;q=0.1, multipart/related; type=\"image/jls\"; q=0.5, */*;q=0, image/png")
        #expect(weighted.map(\.name) == ["image/png", "multipart/related", "text/html"])
        #expect(weighted[1]["type"] == "image/jls")
    }

    @Test("Odd parts are skipped, and commas in quotes part nothing")
    func odd() {
        #expect(MediaType.list("nonsense, a/b; ;=x; y, c/d; p=\"q,r\\\"s\"").map(\.name) == ["a/b", "c/d"])
        #expect(MediaType("c/d; p=\"q,r\\\"s\"")?["p"] == "q,r\"s")
        #expect(MediaType("IMAGE/JPEG")?.name == "image/jpeg")
        #expect(MediaType("none") == nil)
    }

    @Test("A quote is one, whatever mark stands behind it")
    func marks() {
        let mark = MediaType("a/b; c=\"\u{6DB}d\"")
        #expect(mark?["c"] == "\u{6DB}d")
        let escaped = MediaType("a/b; c=\"d\\\"\u{301}\"")
        let wanted = "d\"\u{301}"
        #expect(escaped?["c"] == wanted)
    }

    @Test("What has a quote or a control character in it is no name")
    func names() {
        #expect(MediaType("a/b; c\"d;e\"=f; g=h")?.parameters.map(\.name) == ["g"])
        #expect(MediaType("a/b; c\u{0}=1")?.parameters.isEmpty == true)
        #expect(MediaType("a\u{7}/b") == nil)
    }
}

@Suite("Byte ranges (RFC 9110 section 14)")
struct ByteRangeTests {
    @Test(
        "Ranges of ten bytes",
        arguments: [
            (nil, .whole), ("bytes=0-9", .part(0..<10)), ("bytes=2-4", .part(2..<5)), ("bytes=5-", .part(5..<10)),
            ("bytes=-3", .part(7..<10)), ("bytes=-30", .part(0..<10)), ("bytes=9-99", .part(9..<10)),
            ("bytes=10-", .unsatisfiable), ("bytes=-0", .unsatisfiable), ("bytes=4-2", .whole), ("lines=1-2", .whole),
            ("bytes=0-1,3-4", .whole), ("bytes=a-b", .whole), ("bytes=-", .whole),
            ("bytes=99999999999999999999-", .unsatisfiable), ("bytes=0-99999999999999999999", .part(0..<10)),
        ] as [(String?, ByteRange)])
    func ranges(header: String?, expected: ByteRange) { #expect(ByteRange(header, length: 10) == expected) }
}

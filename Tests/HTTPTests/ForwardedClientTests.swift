// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP

@Suite("Who is behind a proxy")
struct ForwardedClientTests {
    private static func client(
        _ fields: [(name: String, value: String)], peer: String = "10.0.0.5",
        proxies: Set<String> = ["10.0.0.5", "10.0.0.6"]
    ) -> ForwardedClient {
        ForwardedClient(peer: peer, HTTPHeaders(fields)) { proxies.contains($0) }
    }

    @Test(
        "From the right, the first that is no proxy",
        arguments: [
            ([], "10.0.0.5"), (["203.0.113.7"], "203.0.113.7"), (["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
            (["1.1.1.1", "203.0.113.7"], "203.0.113.7"), (["203.0.113.7, 10.0.0.6"], "203.0.113.7"),
            (["1.1.1.1,203.0.113.7 , 10.0.0.6,10.0.0.5"], "203.0.113.7"), (["2001:db8::1"], "2001:db8::1"),
            (["10.0.0.6"], "10.0.0.6"), ([""], "10.0.0.5"), (["unknown"], "10.0.0.5"),
            (["203.0.113.7, nonsense"], "10.0.0.5"), (["203.0.113.7, nonsense, 10.0.0.6"], "10.0.0.6"),
            (["203.0.113.7\n1.1.1.1"], "10.0.0.5"), (["256.1.1.1"], "10.0.0.5"), (["203.0.113.7:80"], "10.0.0.5"),
        ])
    func address(fields: [String], expected: String) {
        #expect(Self.client(fields.map { ("X-Forwarded-For", $0) }).address == expected)
    }

    @Test("Scheme and host are the last that were said")
    func schemeAndHost() {
        let said = Self.client([
            ("Host", "inner"), ("X-Forwarded-Proto", "http, HTTPS"), ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Host", "archive.example"),
        ])
        #expect(said.isEncrypted && said.host == "archive.example")
        let unsaid = Self.client([("Host", "inner")])
        #expect(!unsaid.isEncrypted && unsaid.host == "inner")
        #expect(!Self.client([("X-Forwarded-Proto", "https, http")]).isEncrypted)
    }
}

// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Foundation
import Testing

@testable import Access

/// A pair of keys, made for a test.
final class TestKey: @unchecked Sendable {
    let algorithm: SignatureKey.Algorithm
    private var key: OpaquePointer?
    let publicFile: [UInt8]

    init(_ algorithm: SignatureKey.Algorithm, bits: Int32 = 2048, curve: String = "P-256") {
        self.algorithm = algorithm
        guard algorithm != .hs256 else {
            publicFile = Array("a secret of more than thirty-two bytes\n".utf8)
            return
        }
        let kind =
            switch algorithm {
            case .rs256: EVP_PKEY_RSA
            case .es256: EVP_PKEY_EC
            default: EVP_PKEY_ED25519
            }
        let context = EVP_PKEY_CTX_new_id(kind, nil)
        defer { EVP_PKEY_CTX_free(context) }
        EVP_PKEY_keygen_init(context)
        if algorithm == .rs256 { EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) }
        if algorithm == .es256 { EVP_PKEY_CTX_set_group_name(context, curve) }
        EVP_PKEY_keygen(context, &key)
        let memory = BIO_new(BIO_s_mem())
        defer { BIO_free(memory) }
        PEM_write_bio_PUBKEY(memory, key)
        var text = [UInt8](repeating: 0, count: 8192)
        publicFile = Array(text[..<Int(BIO_read(memory, &text, 8192))])
    }

    deinit { EVP_PKEY_free(key) }

    func signature(of message: [UInt8]) -> [UInt8] {
        guard algorithm != .hs256 else {
            var code = [UInt8](repeating: 0, count: 32)
            var length: UInt32 = 0
            let secret = publicFile.dropLast()
            HMAC(EVP_sha256(), Array(secret), Int32(secret.count), message, message.count, &code, &length)
            return code
        }
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        EVP_DigestSignInit(context, nil, algorithm == .edDSA ? nil : EVP_sha256(), nil, key)
        var length = 1024
        var signature = [UInt8](repeating: 0, count: length)
        EVP_DigestSign(context, &signature, &length, message, message.count)
        let bytes = Array(signature[..<length])
        return algorithm == .es256 ? Self.numbers(bytes) : bytes
    }

    /// The two numbers of a DER sequence, 32 bytes each.
    private static func numbers(_ der: [UInt8]) -> [UInt8] {
        var rest = der.dropFirst(2)
        return (0..<2).flatMap { _ -> [UInt8] in
            let length = Int(rest[rest.startIndex + 1])
            let number = Array(rest.dropFirst(2).prefix(length).drop { $0 == 0 })
            rest = rest.dropFirst(2 + length)
            return [UInt8](repeating: 0, count: 32 - number.count) + number
        }
    }
}

@Suite("JSON Web Tokens")
struct JSONWebTokenTests {
    private static let now: Int64 = 1_800_000_000_000_000_000
    private static let keys = Dictionary(
        uniqueKeysWithValues: SignatureKey.Algorithm.allCases.map { ($0, TestKey($0)) })

    private static func authority(_ algorithm: SignatureKey.Algorithm) throws -> JSONWebToken.Authority {
        JSONWebToken.Authority(
            key: try SignatureKey(algorithm, file: keys[algorithm]!.publicFile), issuer: "https://id.example",
            audience: "snimok")
    }

    private static var claims: [String: Any] {
        [
            "iss": "https://id.example", "aud": "snimok", "sub": "anna", "exp": 1_800_000_300,
            "organisation": "clinic", "roles": ["viewer", "unheard-of"],
        ]
    }

    private static func token(
        _ algorithm: SignatureKey.Algorithm, _ change: [String: Any?] = [:], header: [String: Any?] = [:]
    ) -> String {
        var head: [String: Any] = ["alg": algorithm.rawValue, "typ": "JWT"]
        for (key, value) in header { head[key] = value }
        var body = claims
        for (key, value) in change { body[key] = value }
        let text = [head, body].map {
            Secret.text(Array((try? JSONSerialization.data(withJSONObject: $0)) ?? Data()))
        }.joined(separator: ".")
        return "\(text).\(Secret.text(keys[algorithm]!.signature(of: Array(text.utf8))))"
    }

    private static func read(_ text: String, _ algorithm: SignatureKey.Algorithm = .edDSA) throws -> JSONWebToken? {
        JSONWebToken(text, from: try authority(algorithm), at: now)
    }

    @Test("One that is signed well is believed", arguments: SignatureKey.Algorithm.allCases)
    func good(algorithm: SignatureKey.Algorithm) throws {
        let token = try #require(try Self.read(Self.token(algorithm), algorithm))
        #expect(token.subject == "anna" && token.organisation == "clinic" && token.roles == [.viewer])
    }

    @Test("An algorithm other than the configured one is not followed", arguments: SignatureKey.Algorithm.allCases)
    func confusion(algorithm: SignatureKey.Algorithm) throws {
        for other in SignatureKey.Algorithm.allCases where other != algorithm {
            #expect(try Self.read(Self.token(other), algorithm) == nil)
            #expect(try Self.read(Self.token(algorithm, header: ["alg": other.rawValue]), algorithm) == nil)
        }
        for none in ["none", "None", "NONE", "nOnE", ""] {
            let signed = Self.token(algorithm, header: ["alg": none])
            let unsigned = signed.split(separator: ".").prefix(2).joined(separator: ".") + "."
            #expect(try Self.read(signed, algorithm) == nil && Self.read(unsigned, algorithm) == nil)
        }
    }

    @Test("The public key as the secret of HS256 opens nothing")
    func publicKeyAsSecret() throws {
        let pem = Self.keys[.rs256]!.publicFile
        let text =
            Secret.text(Array(#"{"alg":"HS256"}"#.utf8)) + "."
            + Secret.text(Array(try JSONSerialization.data(withJSONObject: Self.claims)))
        var code = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        HMAC(EVP_sha256(), pem, Int32(pem.count), Array(text.utf8), text.utf8.count, &code, &length)
        #expect(try Self.read("\(text).\(Secret.text(code))", .rs256) == nil)
    }

    @Test("One changed letter is noticed wherever it stands", arguments: SignatureKey.Algorithm.allCases)
    func tampered(algorithm: SignatureKey.Algorithm) throws {
        let good = Array(Self.token(algorithm).utf8)
        let authority = try Self.authority(algorithm)
        // The last letter of the signature has bits that stand for nothing.
        for place in stride(from: 0, to: good.count - 1, by: 3) {
            var bad = good
            bad[place] = bad[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(JSONWebToken(String(decoding: bad, as: UTF8.self), from: authority, at: Self.now) == nil)
        }
    }

    @Test("Claims that do not hold")
    func claims() throws {
        let bad: [[String: Any?]] = [
            ["exp": 1_799_999_940], ["exp": nil], ["exp": "1800000300"], ["nbf": 1_800_000_061], ["nbf": "soon"],
            ["iss": "https://evil.example"], ["iss": nil], ["aud": "other"], ["aud": nil], ["aud": ["a", "b"]],
            ["sub": nil], ["sub": ""], ["sub": "a\nb"], ["organisation": nil], ["organisation": 5],
            ["organisation": ""], ["sub": String(repeating: "x", count: 129)],
        ]
        for change in bad { #expect(try Self.read(Self.token(.edDSA, change)) == nil, "\(change)") }
        let good: [[String: Any?]] = [
            ["exp": 1_799_999_941], ["nbf": 1_800_000_059], ["aud": ["other", "snimok"]], ["roles": "viewer auditor"],
            ["roles": nil], ["exp": 1_800_000_300.5],
        ]
        for change in good { #expect(try Self.read(Self.token(.edDSA, change)) != nil, "\(change)") }
        #expect(try Self.read(Self.token(.edDSA, ["roles": "viewer auditor"]))?.roles == [.viewer, .auditor])
        #expect(try Self.read(Self.token(.edDSA, ["roles": nil]))?.roles == [])
        #expect(try Self.read(Self.token(.edDSA, header: ["crit": ["exp"]])) == nil)
    }

    @Test("What is no token at all")
    func malformed() throws {
        let good = Self.token(.edDSA)
        for text in [
            "", ".", "..", "...", "a.b.c", good + ".", "." + good, good + "=", good.replacing(".", with: ".."),
            String(repeating: "A", count: 20_000) + good,
            Secret.text(Array(String(repeating: "[", count: 5000).utf8)) + ".e30.e30",
        ] {
            #expect(try Self.read(text) == nil)
        }
    }

    @Test("Keys that are weak or of another kind are refused")
    func keys() {
        let rsa = TestKey(.rs256, bits: 1024)
        let curve = TestKey(.es256, curve: "P-384")
        for (algorithm, file) in [
            (SignatureKey.Algorithm.hs256, Array("short".utf8)), (.rs256, rsa.publicFile), (.es256, curve.publicFile),
            (.rs256, Self.keys[.es256]!.publicFile), (.edDSA, Self.keys[.rs256]!.publicFile), (.edDSA, []),
        ] {
            #expect(throws: SignatureKey.Failure.self) { try SignatureKey(algorithm, file: file) }
        }
    }

    @Test("The authenticator makes an asker of it")
    func asker() throws {
        let test = try TestAccess(authority: try Self.authority(.rs256))
        #expect(test.authenticator.hasCredentials)
        let asker = try test.authenticator.bearer(token: Self.token(.rs256), address: "10.0.0.1")
        #expect(asker.name == "anna@https://id.example" && asker.organisation == "clinic")
        #expect(asker.permissions == Role.viewer.permissions)
    }
}

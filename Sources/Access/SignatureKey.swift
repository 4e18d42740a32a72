// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import CSodium

/// A key that JSON Web Tokens are checked with, for one algorithm (RFC 7518 section 3.1, RFC 8037).
package struct SignatureKey: Sendable {
    package enum Algorithm: String, CaseIterable, Sendable {
        case hs256 = "HS256"
        case rs256 = "RS256"
        case es256 = "ES256"
        case edDSA = "EdDSA"
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// RFC 7518 sections 3.2 and 3.3.
    private static let secretMinimumBytes = 32
    private static let rsaMinimumBits = 2048

    package let algorithm: Algorithm
    /// The secret of HS256, else a public key in PEM.
    private let material: [UInt8]

    /// - Parameter file: content of the key file.
    package init(_ algorithm: Algorithm, file: [UInt8]) throws(Failure) {
        self.algorithm = algorithm
        var bytes = file
        if algorithm == .hs256 {
            while let last = bytes.last, last == 0x0A || last == 0x0D { bytes.removeLast() }
            guard bytes.count >= Self.secretMinimumBytes else {
                throw Failure(description: "a secret for HS256 has \(Self.secretMinimumBytes) bytes or more")
            }
        }
        material = bytes
        guard algorithm != .hs256 else { return }
        guard let key = Self.publicKey(bytes) else {
            throw Failure(description: "no public key in PEM (it begins with -----BEGIN PUBLIC KEY-----)")
        }
        defer { EVP_PKEY_free(key) }
        guard Self.fits(key, algorithm) else {
            throw Failure(
                description:
                    "the key is none for \(algorithm.rawValue): RS256 wants RSA of \(Self.rsaMinimumBits) bits or more, ES256 P-256, EdDSA Ed25519"
            )
        }
    }

    /// Whether the signature over the message is by this key.
    func hasSigned(_ message: [UInt8], signature: [UInt8]) -> Bool {
        if algorithm == .hs256 { return Secret.areEqual(signature, authentication(of: message)) }
        guard let key = Self.publicKey(material) else { return false }
        defer { EVP_PKEY_free(key) }
        switch algorithm {
        case .hs256: return false
        case .rs256: return Self.verify(key, EVP_sha256(), message, signature)
        case .edDSA: return Self.verify(key, nil, message, signature)
        case .es256: return Self.sequence(signature).map { Self.verify(key, EVP_sha256(), message, $0) } ?? false
        }
    }

    private func authentication(of message: [UInt8]) -> [UInt8] {
        var state = crypto_auth_hmacsha256_state()
        var code = [UInt8](repeating: 0, count: Int(crypto_auth_hmacsha256_BYTES))
        crypto_auth_hmacsha256_init(&state, material, material.count)
        crypto_auth_hmacsha256_update(&state, message, UInt64(message.count))
        crypto_auth_hmacsha256_final(&state, &code)
        return code
    }

    private static func publicKey(_ pem: [UInt8]) -> OpaquePointer? {
        guard let source = BIO_new_mem_buf(pem, Int32(pem.count)) else { return nil }
        defer { BIO_free(source) }
        return PEM_read_bio_PUBKEY(source, nil, nil, nil)
    }

    private static func fits(_ key: OpaquePointer, _ algorithm: Algorithm) -> Bool {
        switch algorithm {
        case .hs256: false
        case .rs256: EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) >= rsaMinimumBits
        case .edDSA: EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519
        case .es256: EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && curve(key) == "prime256v1"
        }
    }

    private static func curve(_ key: OpaquePointer) -> String {
        var name = [CChar](repeating: 0, count: 64)
        guard EVP_PKEY_get_group_name(key, &name, name.count, nil) == 1 else { return "" }
        return name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// - Parameter digest: nil: the algorithm has its own.
    private static func verify(
        _ key: OpaquePointer, _ digest: OpaquePointer?, _ message: [UInt8], _ signature: [UInt8]
    ) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        guard EVP_DigestVerifyInit(context, nil, digest, nil, key) == 1 else { return false }
        return EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }

    /// RFC 7518 section 3.4 has the two numbers one after the other; OpenSSL wants a DER sequence of two integers.
    private static func sequence(_ signature: [UInt8]) -> [UInt8]? {
        guard signature.count == 64 else { return nil }
        let integers = [signature[..<32], signature[32...]].flatMap { half -> [UInt8] in
            var number = Array(half.drop { $0 == 0 })
            if number.isEmpty || number[0] >= 0x80 { number.insert(0, at: 0) }
            return [0x02, UInt8(number.count)] + number
        }
        return [0x30, UInt8(integers.count)] + integers
    }
}

// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// What a certificate says of its owner.
package struct PeerCertificate: Sendable, Equatable {
    /// SHA-256 of its DER form: 64 lowercase hexadecimal digits.
    package let fingerprint: String
    /// Common names of the subject, and alternative names: DNS, address, mail, URI.
    package let names: [String]

    package init(fingerprint: String, names: [String]) {
        self.fingerprint = fingerprint
        self.names = names
    }

    /// - Parameter certificate: an `X509`, which stays the caller's.
    init(_ certificate: OpaquePointer) {
        var digest = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        X509_digest(certificate, EVP_sha256(), &digest, &length)
        fingerprint = digest.map { Self.hexadecimal($0) }.joined()
        var names: [String] = []
        withUnsafeMutablePointer(to: &names) { pointer in
            copenssl_for_each_name(
                certificate,
                { context, isAddress, bytes, length in
                    let bytes = Array(UnsafeBufferPointer(start: bytes, count: length))
                    guard let name = isAddress == 1 ? PeerCertificate.address(bytes) : PeerCertificate.text(bytes)
                    else {
                        return
                    }
                    context!.assumingMemoryBound(to: [String].self).pointee.append(name)
                }, pointer)
        }
        self.names = names
    }

    /// Whether it is the one that a rule means: by its fingerprint, with or without colons, or by one of its names. No
    /// wildcards, and no difference between capital and small letters.
    package func matches(_ rule: String) -> Bool {
        let wanted = rule.lowercased()
        if wanted.replacing(":", with: "") == fingerprint { return true }
        return names.contains { $0.lowercased() == wanted }
    }

    /// A name with a NUL or a control character in it is none: it may be meant to be read as another one.
    private static func text(_ bytes: [UInt8]) -> String? {
        guard !bytes.isEmpty, bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func address(_ bytes: [UInt8]) -> String? {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &text, socklen_t(text.count)) != nil else {
            return nil
        }
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        let digits = Array("0123456789abcdef")
        return String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
    }
}

extension PeerCertificate: CustomStringConvertible {
    package var description: String { "\(names.first ?? "no name") sha256:\(fingerprint)" }
}

/// What an encrypted connection has shown of its other end.
package struct TLSPeer: Sendable {
    package let version: String
    package let cipher: String
    /// nil: it has none, and needs none.
    package let certificate: PeerCertificate?

    package init(version: String, cipher: String, certificate: PeerCertificate?) {
        self.version = version
        self.cipher = cipher
        self.certificate = certificate
    }
}

/// Where an association request comes from, and what its connection has shown.
package struct Caller: Sendable {
    /// Numeric; empty: the socket in the data directory, which only the operator reaches.
    package let address: String
    /// nil: not encrypted.
    package let tls: TLSPeer?

    package init(address: String, tls: TLSPeer? = nil) {
        self.address = address
        self.tls = tls
    }

    package var isLocal: Bool { address.isEmpty }
}

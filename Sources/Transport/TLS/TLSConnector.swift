// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc
import Platform

/// How to open encrypted connections to one peer.
package struct TLSConnector: Sendable {
    private let context: @Sendable () -> TLSContext
    private let certificate: String?

    /// - Parameter certificate: fingerprint or name that the peer's certificate must have; nil: it must be that of the host
    ///   that is called.
    package init(_ credentials: TLSCredentials, certificate: String?) {
        context = { credentials.requestor }
        self.certificate = certificate
    }

    package init(_ files: TLSFiles, certificate: String? = nil) throws(TransportError) {
        let made = try TLSContext(requestor: files)
        context = { made }
        self.certificate = certificate
    }

    func session(_ stream: StreamDescriptor, host: String) -> TLSSession {
        TLSSession(context(), stream, expected: TLSExpectation(host: host, certificate: certificate))
    }

    /// What the handshake itself does not check.
    func check(_ peer: TLSPeer) throws(TransportError) {
        guard let certificate else { return }
        guard let shown = peer.certificate, shown.matches(certificate) else {
            throw .tls("certificate refused: \(peer.certificate.map { "\($0)" } ?? "none") is not \(certificate)")
        }
    }
}

/// Whose certificate a peer that we call must show.
struct TLSExpectation: Sendable {
    let host: String
    let certificate: String?

    /// RFC 9325 section 3.7 (server name), RFC 9525 (no common name, no wildcard in a part of a label).
    func apply(to ssl: OpaquePointer) throws(TransportError) {
        var address = in6_addr()
        let isAddress = inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1
        if !isAddress { _ = copenssl_set_server_name(ssl, host) }
        guard certificate == nil else { return }
        SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        let isSet = isAddress ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) : SSL_set1_host(ssl, host)
        guard isSet == 1 else { throw .tls("\(host) cannot be looked for in a certificate") }
    }
}

// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// PEM files of one side; empty: none.
package struct TLSFiles: Sendable, Equatable {
    /// The own certificate, with those between it and its CA behind it.
    package var certificate: String
    package var key: String
    /// The CAs whose certificates the other side may have.
    package var authorities: String

    package init(certificate: String = "", key: String = "", authorities: String = "") {
        self.certificate = certificate
        self.key = key
        self.authorities = authorities
    }
}

/// What an acceptor wants of its callers' certificates.
package enum ClientCertificates: String, Codable, Sendable {
    case required, optional, none
}

/// Keys, certificates and rules that connections begin with: one of OpenSSL's `SSL_CTX`, not changed after it was made.
package final class TLSContext: @unchecked Sendable {
    /// Bytes that one system call may bring: four records.
    private static let readAheadBytes = 65_536
    /// Certificates between the own one and its CA.
    private static let chainMaximum: Int32 = 8

    let pointer: OpaquePointer
    let isAcceptor: Bool

    /// For connections that others open.
    package convenience init(acceptor files: TLSFiles, clients: ClientCertificates) throws(TransportError) {
        try self.init(files, isAcceptor: true)
        guard clients != .none else { return }
        let mode = clients == .required ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER
        SSL_CTX_set_verify(pointer, mode, TLSSession.onVerified)
        // So that a client with several certificates can tell which one is wanted.
        SSL_CTX_set_client_CA_list(pointer, SSL_load_client_CA_file(files.authorities))
    }

    /// For connections that we open.
    package convenience init(requestor files: TLSFiles) throws(TransportError) {
        try self.init(files, isAcceptor: false)
        SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, TLSSession.onVerified)
    }

    private init(_ files: TLSFiles, isAcceptor: Bool) throws(TransportError) {
        _ = copenssl_initialize()
        ERR_clear_error()
        self.isAcceptor = isAcceptor
        guard let pointer = SSL_CTX_new(isAcceptor ? TLS_server_method() : TLS_client_method()) else {
            throw .tls("no memory for TLS")
        }
        self.pointer = pointer
        guard TLSProfile.apply(to: pointer) else {
            throw .tls("OpenSSL cannot do what BCP 195 wants: \(Self.reason())")
        }
        copenssl_set_read_ahead(pointer, Self.readAheadBytes)
        SSL_CTX_set_verify_depth(pointer, Self.chainMaximum)
        // A key with a passphrase would be asked for on the terminal.
        SSL_CTX_set_default_passwd_cb(pointer) { _, _, _, _ in -1 }
        if !files.certificate.isEmpty { try load(files) }
        if !files.authorities.isEmpty, SSL_CTX_load_verify_file(pointer, files.authorities) != 1 {
            throw .tls("no certificates of authorities can be read from \(files.authorities): \(Self.reason())")
        }
    }

    deinit { SSL_CTX_free(pointer) }

    private func load(_ files: TLSFiles) throws(TransportError) {
        guard SSL_CTX_use_certificate_chain_file(pointer, files.certificate) == 1 else {
            throw .tls("the certificate in \(files.certificate) cannot be used: \(Self.reason())")
        }
        guard SSL_CTX_use_PrivateKey_file(pointer, files.key, SSL_FILETYPE_PEM) == 1 else {
            throw .tls("the key in \(files.key) cannot be used (it must have no passphrase): \(Self.reason())")
        }
        guard SSL_CTX_check_private_key(pointer) == 1 else {
            throw .tls("\(files.key) is not the key of the certificate in \(files.certificate)")
        }
    }

    /// The first of the errors that OpenSSL keeps for this thread which has a text.
    static func reason() -> String {
        defer { ERR_clear_error() }
        while case let code = ERR_get_error(), code != 0 {
            if let text = ERR_reason_error_string(code) { return String(cString: text) }
        }
        return "no reason given"
    }
}

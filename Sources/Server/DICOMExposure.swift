// SPDX-License-Identifier: Apache-2.0
import DIMSE
import Glibc
import Platform
import Transport

/// What must be configured before anybody outside this machine reaches the archive by DICOM. What is missing is no
/// warning: the archive does not start.
extension Configuration {
    /// Unknown callers are taken while nobody is configured and only this machine can call.
    var acceptsUnknownCallingAETitles: Bool {
        dicom.acceptUnknownCallingAETitles ?? (peers.isEmpty && (insecure || Self.isLoopback(dicom.bind)))
    }

    var speaksTLS: Bool { !dicom.tls.certificate.isEmpty }

    func checkTLS() throws(ConfigurationError) {
        let tls = dicom.tls
        guard tls.certificate.isEmpty == tls.key.isEmpty else {
            throw ConfigurationError("dicom.tls.certificate and dicom.tls.key belong together")
        }
        guard dicom.plain || speaksTLS else {
            throw ConfigurationError("dicom.plain is false: give dicom.tls.certificate and key, or nobody can call")
        }
        if speaksTLS, tls.clients != .none, tls.authorities.isEmpty {
            throw ConfigurationError(
                "dicom.tls.authorities must name the CAs of clients' certificates, or dicom.tls.clients be \"none\"")
        }
        for peer in peers { try check(peer) }
    }

    private func check(_ peer: PeerSection) throws(ConfigurationError) {
        if let certificate = peer.certificate {
            guard speaksTLS, dicom.tls.clients != .none else {
                throw ConfigurationError(
                    "peer \(peer.aeTitle) must show a certificate: give dicom.tls.certificate, and clients not \"none\""
                )
            }
            guard !certificate.isEmpty else {
                throw ConfigurationError(
                    "peer \(peer.aeTitle): certificate is a SHA-256 fingerprint or a name, not empty")
            }
        }
        if peer.tls == true || peer.certificate != nil {
            guard speaksTLS else {
                throw ConfigurationError("peer \(peer.aeTitle) has tls: give dicom.tls.certificate and key")
            }
            guard peer.host == nil || !dicom.tls.authorities.isEmpty else {
                throw ConfigurationError(
                    "peer \(peer.aeTitle) is called over TLS: name the CA of its certificate in dicom.tls.authorities")
            }
        }
    }

    /// Apart from `check`, for the command line may have said `--insecure`.
    func checkDICOMExposure() throws(ConfigurationError) {
        guard !insecure, !Self.isLoopback(dicom.bind) else { return }
        let exposed = "dicom.bind is \(dicom.bind), which others can reach: "
        let otherwise = "; or bind to 127.0.0.1; or, in a laboratory, start with --insecure"
        guard !peers.isEmpty else {
            throw ConfigurationError(exposed + "name the callers in peers first" + otherwise)
        }
        guard !acceptsUnknownCallingAETitles else {
            throw ConfigurationError(
                exposed + "dicom.acceptUnknownCallingAETitles must not be true" + otherwise)
        }
        guard dicom.checkCalledAETitle else {
            throw ConfigurationError(exposed + "dicom.checkCalledAETitle must not be false" + otherwise)
        }
        for peer in peers where peer.addresses?.isEmpty ?? true {
            if dicom.plain, peer.tls != true, peer.certificate == nil {
                throw ConfigurationError(
                    exposed + "peer \(peer.aeTitle) may call without TLS, so it needs addresses; or give it tls: true"
                        + otherwise)
            }
            // Without one, whoever knows an AE title could be the peer.
            if dicom.tls.clients != .required, peer.certificate == nil {
                throw ConfigurationError(
                    exposed
                        + "peer \(peer.aeTitle) needs addresses or certificate, for dicom.tls.clients is not \"required\""
                        + otherwise)
            }
        }
    }

    /// Nil: no TLS.
    package func tlsCredentials() throws(TransportError) -> TLSCredentials? {
        guard speaksTLS else { return nil }
        let tls = dicom.tls
        return try TLSCredentials(
            TLSFiles(certificate: tls.certificate, key: tls.key, authorities: tls.authorities), clients: tls.clients)
    }

    /// Says in the log what is not as it should be, though it is allowed.
    func warnOfExposure() {
        if insecure {
            Log.error(
                "INSECURE: started with insecure, so what is exposed without protection is not refused; never with real patients",
                ["dicom": dicom.bind, "http": http.bind])
        }
        for key in Set([dicom.tls.key, http.tlsKey]) where !key.isEmpty && Self.isReadableByOthers(key) {
            Log.warning("a private key can be read by other users: chmod o-rwx", ["file": key])
        }
    }

    private static func isReadableByOthers(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & (S_IROTH | S_IWOTH) != 0
    }
}

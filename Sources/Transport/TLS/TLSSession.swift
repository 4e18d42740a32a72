// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc
import Platform

/// TLS on one socket. OpenSSL reads from the socket, and writes into memory that is then sent in as few calls as the socket
/// takes; nothing here waits. Used by one thread at a time.
final class TLSSession: @unchecked Sendable {
    enum Progress {
        case done
        /// The peer has to send first, or to take what waits (`hasOutput`).
        case waiting
        /// Over; an alert that says so may wait to be sent.
        case failed(String)
    }

    /// Plain bytes that are encrypted before they are sent: four records.
    private static let writeMaximum = 65_536
    /// Plain bytes of one record (RFC 8446 section 5.1); less than that is put together, so that a PDU's head and body do
    /// not become records of their own.
    private static let recordMaximum = 16_384
    /// Bytes read before the caller has to look at them.
    private static let readMaximum = 262_144
    /// Answers of TLS itself that a peer may leave untaken.
    private static let outputMaximum = 262_144

    private let context: TLSContext
    private let stream: StreamDescriptor
    /// Whom a connection that we opened must reach; nil: that we accepted.
    private let expected: TLSExpectation?
    /// nil until the first bytes are there: until then a connection costs nothing more.
    private var ssl: OpaquePointer?
    /// Bytes that were read from the socket before the session began.
    private var ahead: ArraySlice<UInt8> = []
    private var output: [UInt8] = []
    private var outputStart = 0
    /// Plain bytes of which the caller has not been told yet that they are sent.
    private var unreported = 0
    /// The handshake is over; what it needed is not kept.
    private var isEstablished = false
    private var isAtEnd = false
    private var systemError: Int32 = 0
    /// The certificate that was refused, and why.
    private var refusal: String?

    init(_ context: TLSContext, _ stream: StreamDescriptor, expected: TLSExpectation? = nil) {
        self.context = context
        self.stream = stream
        self.expected = expected
    }

    deinit { SSL_free(ssl) }

    /// Begins; `bytes` were read from the socket already.
    func begin(with bytes: [UInt8] = []) throws(TransportError) {
        guard let ssl = SSL_new(context.pointer), let bio = BIO_new(Self.method) else {
            throw .tls("no memory for TLS")
        }
        self.ssl = ssl
        ahead = bytes[...]
        let this = Unmanaged.passUnretained(self).toOpaque()
        BIO_set_data(bio, this)
        SSL_set_bio(ssl, bio, bio)
        SSL_set_ex_data(ssl, 0, this)
        if context.isAcceptor { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
        try expected?.apply(to: ssl)
    }

    // MARK: Handshake

    func handshake() -> Progress {
        guard let ssl else { return .failed("not begun") }
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        let error = SSL_get_error(ssl, result)
        let why = result == 1 || error == SSL_ERROR_WANT_READ ? nil : reason(error)
        do throws(TransportError) { try flush() } catch { return .failed(why ?? "\(error)") }
        if let why { return .failed(why) }
        guard result == 1, !hasOutput else { return .waiting }
        isEstablished = true
        return .done
    }

    /// After the handshake.
    var peer: TLSPeer {
        let certificate = SSL_get0_peer_certificate(ssl).map { PeerCertificate($0) }
        return TLSPeer(
            version: String(cString: SSL_get_version(ssl)),
            cipher: String(cString: SSL_CIPHER_get_name(SSL_get_current_cipher(ssl))), certificate: certificate)
    }

    /// Whether something waits for the socket to take it.
    var hasOutput: Bool { outputStart < output.count }

    /// Called for each certificate of the peer's chain, the CA's first.
    static let onVerified: @convention(c) (Int32, OpaquePointer?) -> Int32 = { isGood, store in
        guard isGood != 1, let store,
            let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
            let session = SSL_get_ex_data(OpaquePointer(ssl), 0)
        else { return isGood }
        let why = String(cString: X509_verify_cert_error_string(Int(X509_STORE_CTX_get_error(store))))
        let certificate = X509_STORE_CTX_get_current_cert(store).map { " (\(PeerCertificate($0)))" } ?? ""
        Unmanaged<TLSSession>.fromOpaque(session).takeUnretainedValue().refusal = why + certificate
        return isGood
    }

    // MARK: Data

    /// As `StreamDescriptor.receive`.
    func receive(_ vectors: UnsafeMutableBufferPointer<iovec>) throws(TransportError) -> Int? {
        var received = 0
        for vector in vectors {
            var offset = 0
            while offset < vector.iov_len {
                guard received < Self.readMaximum else { return received }
                var count = 0
                ERR_clear_error()
                let result = SSL_read_ex(ssl, vector.iov_base! + offset, vector.iov_len - offset, &count)
                guard result == 1 else { return try ended(after: received, SSL_get_error(ssl, result)) }
                received += count
                offset += count
            }
        }
        return received
    }

    private func ended(after received: Int, _ error: Int32) throws(TransportError) -> Int? {
        let why = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN ? nil : reason(error)
        // What has come counts, even if the peer takes no answer any more.
        do throws(TransportError) { try flush() } catch { if received == 0 { throw error } }
        // A peer may ask for new keys again and again, and never take our answers.
        guard output.count - outputStart <= Self.outputMaximum else {
            throw .timedOut("peer takes nothing off the wire")
        }
        if received > 0 { return received }
        if error == SSL_ERROR_WANT_READ { return nil }
        guard let why, systemError != ECONNRESET, systemError != EPIPE else { return 0 }
        throw .tls(why)
    }

    /// Whether there is plain text to be had, as far as the bytes that have come tell.
    func hasInput() -> Bool {
        var byte: UInt8 = 0
        var count = 0
        ERR_clear_error()
        // The end and an error are something to be read, too.
        let result = SSL_peek_ex(ssl, &byte, 1, &count)
        return result == 1 || SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ
    }

    /// As `StreamDescriptor.send`. After nil the same bytes must come again: they are encrypted already.
    func send(_ vectors: UnsafeMutableBufferPointer<iovec>) throws(TransportError) -> Int? {
        try flush()
        if hasOutput { return nil }
        if unreported == 0 {
            unreported = try encrypt(vectors)
            try flush()
            if hasOutput { return nil }
        }
        defer { unreported = 0 }
        return min(unreported, vectors.reduce(0) { $0 + $1.iov_len })
    }

    private func encrypt(_ vectors: UnsafeMutableBufferPointer<iovec>) throws(TransportError) -> Int {
        var count = 0
        var together: [UInt8] = []
        for vector in vectors {
            var rest = UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len)
            while !rest.isEmpty, count + together.count < Self.writeMaximum {
                if together.isEmpty, rest.count >= Self.recordMaximum {
                    try encrypt(UnsafeRawBufferPointer(rebasing: rest[..<Self.recordMaximum]))
                    count += Self.recordMaximum
                    rest = UnsafeRawBufferPointer(rebasing: rest[Self.recordMaximum...])
                    continue
                }
                let part = min(rest.count, Self.recordMaximum - together.count)
                together += rest[..<part]
                rest = UnsafeRawBufferPointer(rebasing: rest[part...])
                if together.count == Self.recordMaximum { count += try encryptAll(&together) }
            }
        }
        return count + (try encryptAll(&together))
    }

    private func encryptAll(_ bytes: inout [UInt8]) throws(TransportError) -> Int {
        try bytes.withRawBytes { bytes throws(TransportError) in try encrypt(bytes) }
        defer { bytes.removeAll(keepingCapacity: true) }
        return bytes.count
    }

    private func encrypt(_ bytes: UnsafeRawBufferPointer) throws(TransportError) {
        guard !bytes.isEmpty else { return }
        var count = 0
        ERR_clear_error()
        let result = SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &count)
        // Into memory it writes all or fails.
        guard result == 1, count == bytes.count else { throw .tls(reason(SSL_get_error(ssl, result))) }
    }

    /// Sends what the socket takes of what is encrypted.
    private func flush() throws(TransportError) {
        guard hasOutput else { return }
        while hasOutput {
            let sent = try output.withMutableRawBytes { bytes throws(TransportError) in
                var vector = iovec(iov_base: bytes.baseAddress! + outputStart, iov_len: bytes.count - outputStart)
                return try withUnsafeMutablePointer(to: &vector) { pointer throws(TransportError) in
                    try stream.send(UnsafeMutableBufferPointer(start: pointer, count: 1))
                }
            }
            guard let sent else { return }
            outputStart += sent
        }
        outputStart = 0
        output.removeAll(keepingCapacity: isEstablished)
    }

    /// Says that nothing more will come (RFC 8446 section 6.1).
    func close() {
        guard let ssl, isEstablished else { return }
        ERR_clear_error()
        SSL_shutdown(ssl)
        try? flush()
    }

    // MARK: OpenSSL's side

    private func reason(_ error: Int32) -> String {
        defer { ERR_clear_error() }
        guard error == SSL_ERROR_SSL else {
            return systemError == 0 ? "connection closed by the peer" : "\(SystemError("recv", code: systemError))"
        }
        let code = ERR_peek_error()
        if copenssl_is_verification_failure(code) == 1, let refusal { return "certificate refused: \(refusal)" }
        return ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
    }

    /// How OpenSSL reads and writes: by the two functions below.
    nonisolated(unsafe) private static let method: OpaquePointer = {
        let method = BIO_meth_new(copenssl_bio_type(), "snimok")!
        BIO_meth_set_create(method) { bio in
            BIO_set_init(bio, 1)
            return 1
        }
        BIO_meth_set_read_ex(method) { bio, bytes, count, done in
            copenssl_clear_retry(bio)
            let session = Unmanaged<TLSSession>.fromOpaque(BIO_get_data(bio)!).takeUnretainedValue()
            guard let received = session.readCiphertext(UnsafeMutableRawBufferPointer(start: bytes, count: count))
            else {
                copenssl_retry_read(bio)
                return 0
            }
            done!.pointee = received
            return received > 0 ? 1 : 0
        }
        BIO_meth_set_write_ex(method) { bio, bytes, count, done in
            let session = Unmanaged<TLSSession>.fromOpaque(BIO_get_data(bio)!).takeUnretainedValue()
            session.output += UnsafeRawBufferPointer(start: bytes, count: count)
            done!.pointee = count
            return 1
        }
        BIO_meth_set_ctrl(method) { bio, command, _, _ in
            switch command {
            case BIO_CTRL_FLUSH: 1
            case BIO_CTRL_EOF:
                Unmanaged<TLSSession>.fromOpaque(BIO_get_data(bio)!).takeUnretainedValue().isAtEnd ? 1 : 0
            default: 0
            }
        }
        return method
    }()

    /// nil: nothing there; 0: the end.
    private func readCiphertext(_ memory: UnsafeMutableRawBufferPointer) -> Int? {
        if !ahead.isEmpty {
            let count = min(memory.count, ahead.count)
            memory.copyBytes(from: ahead.prefix(count))
            ahead = ahead.dropFirst(count)
            if ahead.isEmpty { ahead = [] }
            return count
        }
        var vector = iovec(iov_base: memory.baseAddress, iov_len: memory.count)
        do throws(TransportError) {
            let count = try withUnsafeMutablePointer(to: &vector) { pointer throws(TransportError) in
                try stream.receive(UnsafeMutableBufferPointer(start: pointer, count: 1))
            }
            isAtEnd = count == 0
            return count
        } catch {
            if case .system(let error) = error { systemError = error.code }
            isAtEnd = true
            return 0
        }
    }
}

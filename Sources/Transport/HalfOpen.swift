// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Glibc
import Platform

/// A connection without an association: the bytes of its TLS handshake and of its request so far. Used by one thread at a
/// time.
final class HalfOpen: @unchecked Sendable {
    enum Progress {
        case waiting, closed, request
        /// The bytes are there with which a TLS handshake may go on, which takes time.
        case handshake
        case violation(Abort, String)
        /// No encrypted connection came about.
        case tlsFailed(String)
    }

    private enum Stage { case clientHello, handshake, request, over }

    /// The head of a TLS record: type, version, length (RFC 8446 section 5.1).
    private static let recordHeadBytes = 5
    private static let recordMaximum = 16_384

    let socket: Socket
    let peer: String
    var deadline: UInt64
    private(set) var caller: Caller
    private var stage: Stage
    private var bytes: [UInt8] = []

    init(socket: Socket, peer: String, deadline: UInt64) {
        self.socket = socket
        self.peer = peer
        self.deadline = deadline
        caller = Caller(address: peer)
        stage = socket.tls == nil ? .request : .clientHello
    }

    var isEncrypted: Bool { socket.tls != nil }
    /// What the peer does not take at once has to be waited for.
    var hasOutput: Bool { socket.tls?.hasOutput ?? false }

    /// Reads what has come: never past the end of the request, and never so much that it would take long.
    func read() -> Progress {
        switch stage {
        case .clientHello: readClientHello()
        case .handshake: .handshake
        case .request: isEncrypted ? .handshake : readRequest()
        case .over: discard()
        }
    }

    // MARK: TLS

    /// The first record costs nothing but its bytes: only when it is whole, and a handshake's, does TLS begin.
    private func readClientHello() -> Progress {
        while true {
            let wanted =
                bytes.count < Self.recordHeadBytes
                ? Self.recordHeadBytes - bytes.count : Self.recordHeadBytes + recordLength - bytes.count
            switch receive(atMost: wanted, from: socket.stream) {
            case .none: return .closed
            case .some(0): return .waiting
            case .some: break
            }
            guard bytes.count >= Self.recordHeadBytes else { continue }
            guard bytes[0] == 22, bytes[1] == 3, (1...Self.recordMaximum).contains(recordLength) else {
                return fail("no TLS, but \(Self.description(of: bytes))")
            }
            if bytes.count == Self.recordHeadBytes + recordLength { return .handshake }
        }
    }

    private var recordLength: Int { Int(bytes[3]) << 8 | Int(bytes[4]) }

    private static func description(of bytes: [UInt8]) -> String {
        if bytes[0] == PDUType.associateRequest.rawValue, bytes[1] == 0 { return "DICOM in the clear" }
        return "something else"
    }

    /// Goes on with the handshake, and then with the request, as far as the bytes that are there allow.
    func advance() -> Progress {
        guard let tls = socket.tls, stage != .over else { return .closed }
        if stage == .clientHello {
            do throws(TransportError) { try tls.begin(with: bytes) } catch { return fail("\(error)") }
            bytes = []
            stage = .handshake
        }
        if stage == .handshake {
            switch tls.handshake() {
            case .waiting: return .waiting
            case .failed(let why): return fail(why)
            case .done:
                caller = Caller(address: peer, tls: tls.peer)
                stage = .request
            }
        }
        return readRequest()
    }

    private func fail(_ why: String) -> Progress {
        stage = .over
        bytes = []
        socket.shutdownWriting()
        return .tlsFailed(why)
    }

    // MARK: The request

    private func readRequest() -> Progress {
        while true {
            switch receive(atMost: missing, from: nil) {
            case .none: return .closed
            case .some(0): return .waiting
            case .some: break
            }
            if let violation { return violation }
            if bytes.count > PDUHeader.byteCount, missing == 0 { return .request }
        }
    }

    /// Appends what has come to `bytes`.
    /// - Returns: how many bytes; 0: none, nil: the end of the stream, or an error, which is the same to us.
    private func receive(atMost wanted: Int, from stream: StreamDescriptor?) -> Int? {
        var buffer = [UInt8](repeating: 0, count: min(4096, wanted))
        let received = try? buffer.withMutableRawBytes { memory throws(TransportError) in
            guard let stream else { return try socket.receive(into: memory) ?? -1 }
            var vector = iovec(iov_base: memory.baseAddress, iov_len: memory.count)
            return try withUnsafeMutablePointer(to: &vector) { pointer throws(TransportError) in
                try stream.receive(UnsafeMutableBufferPointer(start: pointer, count: 1)) ?? -1
            }
        }
        guard let received, received != 0 else { return nil }
        if received > 0 { bytes += buffer[..<received] }
        return max(0, received)
    }

    /// Bytes still to come of the head or, once that is known, of the whole.
    private var missing: Int {
        guard bytes.count >= PDUHeader.byteCount else { return PDUHeader.byteCount - bytes.count }
        return PDUHeader.byteCount + Int(header.length) - bytes.count
    }

    private var header: PDUHeader { bytes.withUnsafeBytes { PDUHeader(decoding: $0)! } }

    /// Six bytes tell an HTTP request or a length of gigabytes.
    private var violation: Progress? {
        guard bytes.count >= PDUHeader.byteCount else { return nil }
        let header = header
        guard let type = header.type else {
            let what = header.typeCode == 22 && !isEncrypted ? "TLS, which has a port of its own," : "unrecognized PDU"
            return .violation(
                .unrecognizedPDU, "\(what) type \(header.typeCode) instead of an association request")
        }
        guard type == .associateRequest else {
            return .violation(.unexpectedPDU, "unexpected \(type) instead of an association request")
        }
        guard header.length > 0, header.length <= AssociateRequest.maximumBodyByteCount else {
            return .violation(.invalidPDUParameterValue, "association request of \(header.length) bytes")
        }
        return nil
    }

    func request() throws(PDUError) -> AssociateRequest {
        defer { bytes = [] }
        let body = bytes[PDUHeader.byteCount...]
        return try Array(body).withRawBytes { bytes throws(PDUError) in try AssociateRequest(decodingBody: bytes) }
    }

    // MARK: The end

    func abort(_ abort: Abort) {
        stage = .over
        bytes = []
        _ = write(abort.encoded())
        socket.shutdownWriting()
    }

    func reject(_ reject: AssociateReject) {
        _ = write(reject.encoded())
        socket.shutdownWriting()
    }

    /// These PDUs are small: a socket that does not take one at once is given a second.
    func write(_ pdu: [UInt8]) -> Bool {
        (try? socket.sendAll(pdu, deadline: Clock.deadline(seconds: 1))) != nil
    }

    /// Waits a moment for the peer to close.
    func drain() {
        stage = .over
        let deadline = Clock.deadline(seconds: 1)
        while case .waiting = read(), Poll.wait(socket.raw, Int16(POLLIN), deadline: deadline) {}
    }

    /// Reads the socket empty, so that our last words are not lost in a reset.
    private func discard() -> Progress {
        while true {
            switch receive(atMost: 4096, from: socket.stream) {
            case .none: return .closed
            case .some(0): return .waiting
            case .some: bytes = []
            }
        }
    }
}

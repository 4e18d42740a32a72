// SPDX-License-Identifier: Apache-2.0
import CSystem
import DICOMNetwork
import Glibc
import Platform
import Synchronization

/// Accepts connections. A connection waits in one epoll loop, as a table entry with a deadline, until its
/// A-ASSOCIATE-RQ has arrived whole; only then does it get a thread. So ten thousand half-open ones cost little, and
/// none of them can hold up another.
package final class Acceptor: Sendable {
    package struct Settings: Sendable {
        package var limits = TransportLimits()
        package var associationsMaximum = 256
        package var associationsPerPeerMaximum = 128
        package var halfOpenMaximum = 10_000

        package init() {}
    }

    /// What the archive decides and does; both run on the association's own thread.
    package struct Handler: Sendable {
        /// - Parameter peer: the peer's address, empty for the local socket.
        package let authorize:
            @Sendable (_ request: AssociateRequest, _ peer: String) throws(AssociateReject) -> AcceptorPolicy
        package let serve: @Sendable (Association) -> Void

        package init(
            authorize: @escaping @Sendable (AssociateRequest, String) throws(AssociateReject) -> AcceptorPolicy,
            serve: @escaping @Sendable (Association) -> Void
        ) {
            self.authorize = authorize
            self.serve = serve
        }
    }

    private struct Shared {
        var running = 0
        var perPeer: [String: Int] = [:]
        var isStopping = false
    }

    private let settings: Settings
    private let handler: Handler
    private let listeners: [Listener]
    private let shared = Monitor(Shared())
    private let stopping = StopFlag()
    private let nextID = Atomic<UInt64>(1)
    private let wakeUp = WakeUp()

    /// Opens the listening sockets; `run` begins to accept.
    package init(_ endpoints: [Endpoint], settings: Settings, handler: Handler) throws(TransportError) {
        self.settings = settings
        self.handler = handler
        var listeners: [Listener] = []
        for endpoint in endpoints { listeners.append(try Listener(endpoint)) }
        self.listeners = listeners
    }

    /// The port of the first TCP listener, chosen by the system if it was given as 0.
    package var port: UInt16 { listeners.lazy.compactMap(\.port).first ?? 0 }
    package var runningAssociations: Int { shared.withLock { $0.running } }

    /// Starts the loop's thread.
    package func run() throws(SystemError) {
        try SystemThread(name: "accept") { [self] in loop() }.detach()
    }

    /// Accepts nothing more, asks all associations to end when their message is done, and waits for them.
    /// - Returns: whether all ended in time.
    package func stop(withinSeconds seconds: Double) -> Bool {
        stopping.set()
        wakeUp.signal()
        return shared.wait(until: Clock.deadline(seconds: seconds)) { $0.running == 0 ? true : nil } ?? false
    }

    // MARK: The loop

    private func loop() {
        let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(epoll >= 0, "no epoll: too many open files")
        defer { close(epoll) }
        watch(epoll, wakeUp.file.raw)
        for listener in listeners { watch(epoll, listener.file.raw) }
        var waiting: [Int32: HalfOpen] = [:]
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        var nextSweep = Clock.deadline(seconds: 0.5)
        while !stopping.isSet {
            let count = epoll_wait(epoll, &events, Int32(events.count), 500)
            for event in events.prefix(max(0, Int(count))) {
                let descriptor = event.data.fd
                if let listener = listeners.first(where: { $0.file.raw == descriptor }) {
                    accept(listener, epoll, &waiting)
                } else if let connection = waiting[descriptor] {
                    advance(connection, epoll, &waiting)
                }
            }
            let now = Clock.monotonicNanoseconds()
            if now >= nextSweep {
                nextSweep = now + 500_000_000
                for (descriptor, connection) in waiting where connection.deadline <= now {
                    Log.info("connection closed: no association request in time", ["peer": connection.peer])
                    waiting[descriptor] = nil
                }
            }
        }
    }

    private func watch(_ epoll: Int32, _ descriptor: Int32) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.fd = descriptor
        epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
    }

    private func accept(_ listener: Listener, _ epoll: Int32, _ waiting: inout [Int32: HalfOpen]) {
        while let (socket, peer) = listener.accept() {
            guard waiting.count < settings.halfOpenMaximum else {
                Log.warning("connection refused: too many without an association", ["peer": peer])
                continue
            }
            let deadline = Clock.deadline(seconds: settings.limits.artimSeconds)
            waiting[socket.raw] = HalfOpen(socket: socket, peer: peer, deadline: deadline)
            watch(epoll, socket.raw)
        }
    }

    private func advance(_ connection: HalfOpen, _ epoll: Int32, _ waiting: inout [Int32: HalfOpen]) {
        switch connection.read() {
        case .waiting: return
        case .closed: waiting[connection.socket.raw] = nil
        case .violation(let abort, let what):
            Log.warning("aborted before an association", ["peer": connection.peer, "why": what])
            connection.abort(abort)
            // It stays to be read empty, so that the abort is not lost in a reset (Sta13).
            connection.deadline = Clock.deadline(seconds: min(1, settings.limits.artimSeconds))
        case .request:
            waiting[connection.socket.raw] = nil
            epoll_ctl(epoll, EPOLL_CTL_DEL, connection.socket.raw, nil)
            start(connection)
        }
    }

    // MARK: Associations

    private func start(_ connection: HalfOpen) {
        let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
        let isAdmitted = shared.withLock { shared in
            let ofPeer = shared.perPeer[connection.peer, default: 0]
            // The socket in the data directory is the operator's own.
            guard
                connection.peer.isEmpty
                    || (shared.running < settings.associationsMaximum
                        && ofPeer < settings.associationsPerPeerMaximum)
            else { return false }
            shared.running += 1
            shared.perPeer[connection.peer] = ofPeer + 1
            return true
        }
        guard isAdmitted else {
            Log.warning("association rejected: limit reached", ["association": "\(id)", "peer": connection.peer])
            return connection.reject(.localLimitExceeded)
        }
        do {
            try SystemThread(name: "assoc-\(id)") { [self] in
                serve(connection, id: id)
                giveBackSlot(of: connection.peer)
            }.detach()
        } catch {
            giveBackSlot(of: connection.peer)
            Log.error("no thread for an association", ["why": "\(error)"])
            connection.reject(.temporaryCongestion)
        }
    }

    private func giveBackSlot(of peer: String) {
        shared.update { shared in
            shared.running -= 1
            let ofPeer = shared.perPeer[peer, default: 1] - 1
            shared.perPeer[peer] = ofPeer == 0 ? nil : ofPeer
        }
    }

    private func serve(_ connection: HalfOpen, id: UInt64) {
        let limits = settings.limits
        guard let (accept, negotiated, machine) = negotiate(connection, id: id) else { return }
        let association = Association(
            id: id, socket: connection.socket, negotiated: negotiated, machine: machine, peerAddress: connection.peer,
            limits: limits, isStopping: { [stopping] in stopping.isSet })
        guard connection.write(accept.encoded()) else { return }
        handler.serve(association)
    }

    private func negotiate(
        _ connection: HalfOpen, id: UInt64
    ) -> (AssociateAccept, NegotiatedAssociation, AssociationStateMachine)? {
        var machine = AssociationStateMachine(role: .acceptor)
        _ = machine.handle(.transportIndication)
        let request: AssociateRequest
        do { request = try connection.request() } catch {
            Log.warning(
                "association request cannot be read",
                ["association": "\(id)", "peer": connection.peer, "why": "\(error)"])
            connection.abort(.invalidPDUParameterValue)
            connection.drain()
            return nil
        }
        _ = machine.handle(.requestReceived)
        do {
            let policy = try handler.authorize(request, connection.peer)
            let (accept, negotiated) = try Negotiation.accept(request, policy: policy)
            _ = machine.handle(.acceptByUser)
            return (accept, negotiated, machine)
        } catch {
            Log.warning(
                "association rejected",
                [
                    "association": "\(id)", "peer": connection.peer, "calling": request.callingAETitle,
                    "called": request.calledAETitle, "why": "\(error)",
                ])
            connection.reject(error)
            connection.drain()
            return nil
        }
    }
}

/// Set once, seen by all threads.
private final class StopFlag: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .acquiring) }
    func set() { flag.store(true, ordering: .releasing) }
}

/// A listening socket.
private final class Listener: Sendable {
    let file: FileDescriptor
    let port: UInt16?
    private let unixPath: String?

    init(_ endpoint: Endpoint) throws(TransportError) {
        switch endpoint {
        case .tcp(let host, let port):
            guard var address = try Socket.resolve(host, port).first else { throw .closed }
            let raw = socket(
                Int32(address.ss_family),
                Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            guard raw >= 0 else { throw .system(SystemError("socket")) }
            file = FileDescriptor(adopting: raw, path: endpoint.description)
            var one: Int32 = 1
            setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(raw, $0, Socket.addressLength($0, socklen_t(MemoryLayout<sockaddr_storage>.size)))
                }
            }
            guard bound == 0, listen(raw, 4096) == 0 else {
                throw .system(SystemError("listen on", endpoint.description))
            }
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            withUnsafeMutablePointer(to: &address) {
                _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(raw, $0, &length) }
            }
            self.port = withUnsafeBytes(of: &address) {
                UInt16(bigEndian: $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            }
            unixPath = nil
        case .unix(let path):
            unlink(path)
            let raw = socket(
                AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            guard raw >= 0 else { throw .system(SystemError("socket")) }
            file = FileDescriptor(adopting: raw, path: path)
            let bound = try Socket.withUnixAddress(path) { address, length throws(TransportError) in
                bind(raw, address, length)
            }
            guard bound == 0, chmod(path, 0o600) == 0, listen(raw, 128) == 0 else {
                throw .system(SystemError("listen on", path))
            }
            port = nil
            unixPath = path
        }
    }

    deinit { if let unixPath { unlink(unixPath) } }

    /// The next connection that waits, and its peer's address.
    func accept() -> (Socket, String)? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let raw = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { csystem_accept(file.raw, $0, &length) }
        }
        guard raw >= 0 else { return nil }
        if unixPath != nil { return (Socket(adopting: raw, isTCP: false, peer: "local"), "") }
        var name = [CChar](repeating: 0, count: 64)
        withUnsafePointer(to: &address) {
            _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getnameinfo($0, length, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST)
            }
        }
        let peer = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return (Socket(adopting: raw, isTCP: true, peer: peer), peer)
    }
}

/// A connection without an association: the bytes of its request so far. Used by one thread at a time.
private final class HalfOpen: @unchecked Sendable {
    enum Progress {
        case waiting, closed, request
        case violation(Abort, String)
    }

    let socket: Socket
    let peer: String
    var deadline: UInt64
    private var bytes: [UInt8] = []
    private var isOver = false

    init(socket: Socket, peer: String, deadline: UInt64) {
        self.socket = socket
        self.peer = peer
        self.deadline = deadline
    }

    /// Reads what has come, never past the end of the request.
    func read() -> Progress {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let wanted = isOver ? buffer.count : min(buffer.count, missing)
            let received = try? buffer.withMutableRawBytes { memory throws(TransportError) in
                // -1: nothing there; the end of the stream and an error are the same to us.
                try socket.receive(into: UnsafeMutableRawBufferPointer(rebasing: memory[..<wanted])) ?? -1
            }
            guard let count = received, count != 0 else { return .closed }
            if count < 0 { return .waiting }
            if isOver { continue }
            bytes += buffer[..<count]
            if let violation { return violation }
            if bytes.count > PDUHeader.byteCount, missing == 0 { return .request }
        }
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
            return .violation(
                .unrecognizedPDU, "unrecognized PDU type \(header.typeCode) instead of an association request")
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

    func abort(_ abort: Abort) {
        isOver = true
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
        isOver = true
        let deadline = Clock.deadline(seconds: 1)
        while case .waiting = read(), Poll.wait(socket.raw, Int16(POLLIN), deadline: deadline) {}
    }
}

// SPDX-License-Identifier: Apache-2.0
import CSystem
import DICOMNetwork
import Glibc
import Platform
import Synchronization

/// Accepts connections. A connection waits in one epoll loop, as a table entry with a deadline, until its
/// A-ASSOCIATE-RQ has arrived whole; only then does it get a thread. So ten thousand half-open ones cost little, and
/// none of them can hold up another. What is costly of TLS is done by threads of its own.
package final class Acceptor: Sendable {
    package struct Settings: Sendable {
        package var limits = TransportLimits()
        package var associationsMaximum = 256
        package var associationsPerPeerMaximum = 128
        package var halfOpenMaximum = 10_000
        package var handshakeThreads = 2

        package init() {}
    }

    /// A no to an association request: what the peer is told, and what the log.
    package struct Refusal: Error {
        package let reject: AssociateReject
        package let why: String

        package init(_ reject: AssociateReject, why: String) {
            self.reject = reject
            self.why = why
        }
    }

    /// A yes: what is offered, and what then serves the association.
    package struct Admission: Sendable {
        package let policy: AcceptorPolicy
        package let serve: @Sendable (Association) -> Void

        package init(_ policy: AcceptorPolicy, serve: @escaping @Sendable (Association) -> Void) {
            self.policy = policy
            self.serve = serve
        }
    }

    /// Decides about a request; it and what it returns run on the association's own thread.
    package typealias Handler = @Sendable (AssociateRequest, Caller) throws(Refusal) -> Admission

    private struct Shared {
        var running = 0
        var perPeer: [String: Int] = [:]
        var isStopping = false
        /// What the handshake threads have come to.
        var advanced: [(HalfOpen, HalfOpen.Progress)] = []
    }

    private let settings: Settings
    private let admit: Handler
    private let listeners: [Listener]
    private let shared = Monitor(Shared())
    private let stopping = StopFlag()
    private let nextID = Atomic<UInt64>(1)
    private let wakeUp = WakeUp()
    /// nil: nothing is encrypted.
    private let handshakes: HandshakeThreads?
    private let onHandshakeFailed: @Sendable (String, String) -> Void
    private let tlsFailures = RepeatedWarning("no encrypted connection")
    private let crowding = RepeatedWarning("connection closed for another one")

    /// Opens the listening sockets; `run` begins to accept.
    /// - Parameter encrypted: where TLS is spoken.
    package init(
        _ endpoints: [Endpoint], encrypted: (endpoint: Endpoint, credentials: TLSCredentials)? = nil,
        settings: Settings,
        onHandshakeFailed: @escaping @Sendable (_ address: String, _ why: String) -> Void = { _, _ in },
        admit: @escaping Handler
    ) throws(TransportError) {
        self.settings = settings
        self.onHandshakeFailed = onHandshakeFailed
        self.admit = admit
        var listeners: [Listener] = []
        for endpoint in endpoints { listeners.append(try Listener(endpoint)) }
        if let encrypted { listeners.append(try Listener(encrypted.endpoint, tls: encrypted.credentials)) }
        self.listeners = listeners
        do throws(SystemError) {
            handshakes = encrypted == nil ? nil : try HandshakeThreads(count: settings.handshakeThreads)
        } catch { throw .system(error) }
    }

    /// The port of the first TCP listener without TLS, chosen by the system if it was given as 0; nil: there is none.
    package var port: UInt16? { listeners.lazy.filter { $0.tls == nil }.compactMap(\.port).first }
    /// The same with TLS.
    package var tlsPort: UInt16? { listeners.lazy.filter { $0.tls != nil }.compactMap(\.port).first }
    package var runningAssociations: Int { shared.withLock { $0.running } }

    /// Starts the loop's thread.
    package func run() throws(SystemError) {
        try SystemThread(name: "accept") { [self] in loop() }.detach()
    }

    /// Accepts nothing more, asks all associations to end when their message is done, and waits for them.
    /// - Returns: whether all ended in time.
    package func stop(withinSeconds seconds: Double) -> Bool {
        stopping.set()
        handshakes?.stop()
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
        var waiting = HalfOpenTable()
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        var nextSweep = Clock.deadline(seconds: 0.5)
        while !stopping.isSet {
            let count = epoll_wait(epoll, &events, Int32(events.count), 500)
            for event in events.prefix(max(0, Int(count))) {
                let descriptor = event.data.fd
                if let listener = listeners.first(where: { $0.file.raw == descriptor }) {
                    accept(listener, epoll, &waiting)
                } else if let connection = waiting[descriptor] {
                    take(connection.read(), of: connection, epoll, &waiting)
                } else if descriptor == wakeUp.file.raw {
                    wakeUp.clear()
                    takeAdvanced(epoll, &waiting)
                }
            }
            let now = Clock.monotonicNanoseconds()
            if now >= nextSweep {
                nextSweep = now + 500_000_000
                for connection in waiting.all where connection.deadline <= now {
                    Log.info("connection closed: no association request in time", ["peer": connection.peer])
                    waiting.remove(connection)
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

    /// An encrypted connection is watched for one event at a time: meanwhile another thread may be at it.
    private func watchOnce(_ epoll: Int32, _ connection: HalfOpen, isNew: Bool = false) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | EPOLLONESHOT.rawValue | (connection.hasOutput ? EPOLLOUT.rawValue : 0)
        event.data.fd = connection.socket.raw
        epoll_ctl(epoll, isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, connection.socket.raw, &event)
    }

    private func accept(_ listener: Listener, _ epoll: Int32, _ waiting: inout HalfOpenTable) {
        while let (stream, peer) = listener.accept() {
            if waiting.count >= settings.halfOpenMaximum, let oldest = waiting.removeOldest() {
                crowding.write(
                    peer: oldest.peer, why: "\(settings.halfOpenMaximum) wait without a request; the oldest goes")
            }
            let connection = HalfOpen(
                socket: Socket(stream, tls: listener.tls.map { TLSSession($0.acceptor, stream) }), peer: peer,
                deadline: Clock.deadline(seconds: settings.limits.artimSeconds))
            waiting.insert(connection)
            if connection.isEncrypted {
                watchOnce(epoll, connection, isNew: true)
            } else {
                watch(epoll, stream.raw)
            }
        }
    }

    private func take(
        _ progress: HalfOpen.Progress, of connection: HalfOpen, _ epoll: Int32, _ waiting: inout HalfOpenTable
    ) {
        switch progress {
        case .handshake: return advance(connection)
        case .waiting: break
        case .closed: waiting.remove(connection)
        case .violation(let abort, let what):
            Log.warning("aborted before an association", ["peer": connection.peer, "why": what])
            connection.abort(abort)
            linger(connection)
        case .tlsFailed(let why):
            tlsFailures.write(peer: connection.peer, why: why)
            onHandshakeFailed(connection.peer, why)
            linger(connection)
        case .request:
            waiting.remove(connection)
            epoll_ctl(epoll, EPOLL_CTL_DEL, connection.socket.raw, nil)
            return start(connection)
        }
        if connection.isEncrypted, waiting[connection.socket.raw] != nil { watchOnce(epoll, connection) }
    }

    /// It stays to be read empty, so that our last word is not lost in a reset (Sta13).
    private func linger(_ connection: HalfOpen) {
        connection.deadline = Clock.deadline(seconds: min(1, settings.limits.artimSeconds))
    }

    /// Has a handshake thread do what can be done now.
    private func advance(_ connection: HalfOpen) {
        handshakes?.run(for: connection.peer) { [shared, wakeUp] in
            let progress = connection.advance()
            shared.update { $0.advanced.append((connection, progress)) }
            wakeUp.signal()
        }
    }

    private func takeAdvanced(_ epoll: Int32, _ waiting: inout HalfOpenTable) {
        let advanced = shared.withLock { shared in
            defer { shared.advanced = [] }
            return shared.advanced
        }
        for (connection, progress) in advanced where waiting[connection.socket.raw] === connection {
            take(progress, of: connection, epoll, &waiting)
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
        guard let (accept, negotiated, machine, serve) = negotiate(connection, id: id) else { return }
        let association = Association(
            id: id, socket: connection.socket, negotiated: negotiated, machine: machine, caller: connection.caller,
            limits: limits, isStopping: { [stopping] in stopping.isSet })
        guard connection.write(accept.encoded()) else { return }
        serve(association)
    }

    private func negotiate(
        _ connection: HalfOpen, id: UInt64
    ) -> (AssociateAccept, NegotiatedAssociation, AssociationStateMachine, (Association) -> Void)? {
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
        do throws(Refusal) {
            let admission = try admit(request, connection.caller)
            let (accept, negotiated): (AssociateAccept, NegotiatedAssociation)
            do throws(AssociateReject) {
                (accept, negotiated) = try Negotiation.accept(request, policy: admission.policy)
            } catch { throw Refusal(error, why: "not DICOM as it is spoken here") }
            _ = machine.handle(.acceptByUser)
            return (accept, negotiated, machine, admission.serve)
        } catch {
            Log.warning(
                "association rejected",
                [
                    "association": "\(id)", "peer": connection.peer, "calling": request.callingAETitle,
                    "called": request.calledAETitle, "why": error.why, "answer": "\(error.reject)",
                ])
            connection.reject(error.reject)
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

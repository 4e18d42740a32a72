// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Glibc
import Platform
import Transport

/// Keeps the second copy of another archive on this machine's disk: takes connections, and does for each what it asks
/// (`ReceiverSession`), on a thread of its own.
package final class MirrorReceiver: Sendable {
    package struct Settings: Sendable {
        package var endpoint: Endpoint
        /// nil: in the clear, within one machine.
        package var tls: TLSCredentials?
        /// Fingerprint or name that the archive's certificate must have; nil: any that the authorities vouch for.
        package var client: String?
        package var directory: String

        package init(endpoint: Endpoint, directory: String) {
            self.endpoint = endpoint
            self.directory = directory
        }
    }

    private struct Connection {
        let socket: Socket
        /// nil: it has not said yet who it is.
        var session: [UInt8]?
    }

    private struct State {
        var nextID: UInt64 = 0
        var open: [UInt64: Connection] = [:]
        var isStopping = false
    }

    private static let connectionsMaximum = 256
    /// Of those that have not said yet who they are.
    private static let strangersMaximum = 64
    private static let stopSeconds = 10.0
    private static let handshakeSeconds = 10.0

    private let settings: Settings
    private let listener: StreamListener
    private let wakeUp = WakeUp()
    private let fence = ReceiverFence()
    private let refusals = RepeatedWarning("an archive's connection ended")
    private let state = Monitor(State())

    package var port: UInt16? { listener.port }

    package init(_ settings: Settings) throws {
        self.settings = settings
        let volume = SystemVolume()
        try volume.createDirectories(settings.directory)
        try DataDirectory.makeNameDurable(settings.directory, volume)
        listener = try StreamListener(settings.endpoint, tls: settings.tls)
    }

    /// Takes connections until `stop`.
    package func run() throws(SystemError) {
        try SystemThread(name: "mirror-accept") { [self] in
            while let (socket, peer) = listener.accept(wakeUp) { take(socket, peer) }
        }.detach()
    }

    /// Ends all connections. What was not synced by then was not promised to anybody.
    package func stop() {
        wakeUp.signal()
        state.withLock { state in
            state.isStopping = true
            for open in state.open.values { open.socket.breakOff() }
        }
        state.wait(until: Clock.deadline(seconds: Self.stopSeconds)) { $0.open.isEmpty ? true : nil }
    }

    private func take(_ socket: Socket, _ peer: String) {
        let id = state.withLock { state -> UInt64? in
            guard !state.isStopping else { return nil }
            // Strangers cannot keep an archive out: the oldest of them goes, as with half-open associations.
            let strangers = state.open.filter { $0.value.session == nil }
            if strangers.count >= Self.strangersMaximum, let oldest = strangers.min(by: { $0.key < $1.key }) {
                oldest.value.socket.breakOff()
                // Its thread ends by itself.
                state.open[oldest.key] = nil
            }
            state.nextID += 1
            state.open[state.nextID] = Connection(socket: socket)
            return state.nextID
        }
        guard let id else { return }
        do throws(SystemError) {
            try SystemThread(name: "mirror-\(id)") { [self] in
                serve(socket, peer, id)
                state.update { $0.open[id] = nil }
            }.detach()
        } catch {
            state.update { $0.open[id] = nil }
            Log.error("no thread for an archive's connection", ["why": "\(error)"])
        }
    }

    private func serve(_ socket: Socket, _ peer: String, _ id: UInt64) {
        do throws(TransportError) {
            let session = try greet(socket)
            let isTaken = state.withLock { state in
                guard state.open[id] != nil, state.open.count <= Self.connectionsMaximum else { return false }
                state.open[id]?.session = session
                return true
            }
            guard isTaken else { throw .timedOut("there are too many connections") }
            socket.watchPeer()
            let served = ReceiverSession(socket, settings.directory, fence, id: id, session: session)
            defer {
                // Who did not give the lock back, but lost it, has nothing more to do here.
                if served.hasLock { breakOff(session) }
                served.end()
            }
            try served.run()
        } catch {
            guard case .closed = error else { return refusals.write(peer: peer, why: "\(error)") }
        }
    }

    private func greet(_ socket: Socket) throws(TransportError) -> [UInt8] {
        let deadline = Clock.deadline(seconds: Self.handshakeSeconds)
        let certificate = try socket.finishAccepting(deadline: deadline)
        if let client = settings.client {
            guard let certificate, certificate.matches(client) else {
                throw .tls("certificate refused: \(certificate.map { "\($0)" } ?? "none") is not \(client)")
            }
        }
        let bytes = try socket.receive(count: MirrorProtocol.Greeting.byteCount, deadline: deadline)
        guard let greeting = MirrorProtocol.Greeting(decoding: bytes) else {
            throw .timedOut("it is no archive that calls")
        }
        // Also to another version, which then knows why.
        try socket.sendAll(MirrorProtocol.Greeting(session: greeting.session).encoded, deadline: deadline)
        guard greeting.version == MirrorProtocol.version else {
            throw .timedOut("the archive speaks version \(greeting.version), and this is \(MirrorProtocol.version)")
        }
        return greeting.session
    }

    private func breakOff(_ session: [UInt8]) {
        state.withLock { state in
            for open in state.open.values where open.session == session { open.socket.breakOff() }
        }
    }
}

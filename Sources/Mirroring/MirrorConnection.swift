// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform
import Transport

/// One connection to a receiver. Writes are not waited for one by one: their replies are taken before the next request
/// that is answered, which is that of the sync at the latest. Whatever breaks the protocol or takes too long breaks the
/// connection, for good.
final class MirrorConnection: Sendable {
    /// What every call fails with that gets no answer; not `EIO`, which would be the disk's word.
    static let broken = ENOTCONN

    private struct State {
        var isBroken = false
        /// Writes whose replies have not been taken.
        var outstanding = 0
        /// The first error among those that were.
        var failure: Int32 = 0
    }

    private let socket: Socket
    private let timeoutSeconds: Double
    private let state = Monitor(State())

    /// - Parameter session: 16 bytes, the same for all connections that are to end with the one that holds the lock.
    init(_ target: RemoteVolume.Target, session: [UInt8]) throws(TransportError) {
        timeoutSeconds = target.timeoutSeconds
        let deadline = Clock.deadline(seconds: min(timeoutSeconds, RemoteVolume.connectSecondsMaximum))
        socket = try Socket.connect(
            to: .tcp(host: target.host, port: target.port), tls: target.tls, deadline: deadline)
        socket.watchPeer()
        try socket.sendAll(MirrorProtocol.Greeting(session: session).encoded, deadline: deadline)
        let bytes = try socket.receive(count: MirrorProtocol.Greeting.byteCount, deadline: deadline)
        guard let greeting = MirrorProtocol.Greeting(decoding: bytes), greeting.version == MirrorProtocol.version else {
            throw .timedOut("\(target.host):\(target.port) is no receiver of this version")
        }
    }

    deinit { socket.breakOff() }

    var isBroken: Bool { state.withLock { $0.isBroken } }

    /// Whether it can be asked, as far as one can tell without asking: a receiver that nobody waits for has nothing to say
    /// but that it hangs up.
    var isUsable: Bool {
        state.withLock { state in
            if !state.isBroken, state.outstanding == 0, socket.hasInput(until: 0) { fail(&state) }
            return !state.isBroken
        }
    }

    /// Asks, and waits for the answer.
    /// - Parameters:
    ///   - names: of the files and folders that it is about.
    ///   - buffer: takes the bytes of the answer, as far as it goes.
    /// - Returns: the error number and value of the answer, and how many bytes came.
    func ask(
        _ request: MirrorProtocol.Request, names: [String] = [],
        into buffer: UnsafeMutableRawBufferPointer = .init(start: nil, count: 0)
    ) -> (code: Int32, value: UInt64, bytes: Int) {
        state.withLock { state in
            do throws(TransportError) {
                try send(request, names, [], state)
                try takeOutstanding(&state)
                let reply = try receive(into: buffer)
                return (reply.code, reply.value, Int(reply.dataBytes))
            } catch {
                fail(&state)
                return (Self.broken, 0, 0)
            }
        }
    }

    /// Sends bytes to be written, and does not wait.
    /// - Returns: whether they are on their way.
    func write(_ request: MirrorProtocol.Request, _ vectors: [iovec]) -> Bool {
        state.withLock { state in
            do throws(TransportError) {
                try send(request, [], vectors, state)
                state.outstanding += 1
                // What the receiver has answered must not fill the way back.
                if state.outstanding >= 256 { try takeOutstanding(&state) }
                return true
            } catch {
                fail(&state)
                return false
            }
        }
    }

    /// The first error of all writes before the last answer; 0: they were done.
    var writeFailure: Int32 { state.withLock { $0.isBroken ? Self.broken : $0.failure } }

    private func fail(_ state: inout State) {
        state.isBroken = true
        socket.breakOff()
    }

    private var deadline: UInt64 { Clock.deadline(seconds: timeoutSeconds) }

    private func send(
        _ request: MirrorProtocol.Request, _ names: [String], _ vectors: [iovec], _ state: State
    ) throws(TransportError) {
        guard !state.isBroken else { throw .closed }
        let names = Array(names.joined(separator: "\0").utf8)
        var request = request
        request.namesBytes = UInt32(names.count)
        request.dataBytes = UInt32(vectors.reduce(0) { $0 + $1.iov_len })
        let head = request.encoded + names
        try head.withRawBytes { head throws(TransportError) in
            let first = iovec(iov_base: UnsafeMutableRawPointer(mutating: head.baseAddress), iov_len: head.count)
            try socket.sendAll(gathering: [first] + vectors, deadline: deadline)
        }
    }

    private func takeOutstanding(_ state: inout State) throws(TransportError) {
        while state.outstanding > 0 {
            let reply = try receive(into: .init(start: nil, count: 0))
            state.outstanding -= 1
            if state.failure == 0 { state.failure = reply.code }
        }
    }

    private func receive(into buffer: UnsafeMutableRawBufferPointer) throws(TransportError) -> MirrorProtocol.Reply {
        let head = try socket.receive(count: MirrorProtocol.Reply.byteCount, deadline: deadline)
        guard let reply = MirrorProtocol.Reply(decoding: head), reply.code >= 0, reply.dataBytes <= buffer.count else {
            throw .closed
        }
        try socket.receiveAll(
            into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(reply.dataBytes)]), deadline: deadline)
        return reply
    }
}

// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Platform

/// Takes connections that are no associations: plain streams, in the clear or encrypted.
package final class StreamListener: Sendable {
    private let listener: Listener
    package var port: UInt16? { listener.port }

    /// - Parameter tls: nil: in the clear.
    package init(_ endpoint: Endpoint, tls: TLSCredentials?) throws(TransportError) {
        listener = try Listener(endpoint, tls: tls)
    }

    /// Waits for the next connection. Its handshake is still to be done (`Socket.finishAccepting`).
    /// - Returns: nil: `wakeUp` was signalled.
    package func accept(_ wakeUp: WakeUp) -> (socket: Socket, peer: String)? {
        var entries = [
            pollfd(fd: listener.file.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wakeUp.file.raw, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            _ = Poll.wait(&entries, count: 2, deadline: .max)
            if entries[1].revents != 0 { return nil }
            if let (stream, peer) = listener.accept() {
                return (Socket(stream, tls: listener.tls.map { TLSSession($0.acceptor, stream) }), peer)
            }
            // No descriptor is free, or the connection has gone; not a reason to burn the processor.
            usleep(10_000)
        }
    }
}

extension Socket {
    /// Does the handshake of a connection that others opened.
    /// - Returns: the peer's certificate; nil: it showed none.
    package func finishAccepting(deadline: UInt64) throws(TransportError) -> PeerCertificate? {
        guard let tls else { return nil }
        return try Self.shakeHands(tls, stream, deadline: deadline).certificate
    }

    /// Reads so many bytes. Memory for all of them is taken first.
    /// - Throws: as `receiveAll`.
    package func receive(count: Int, deadline: UInt64) throws(TransportError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try bytes.withMutableRawBytes { bytes throws(TransportError) in
            try receiveAll(into: bytes, deadline: deadline)
        }
        return bytes
    }

    /// Fills `buffer`.
    /// - Throws: `.closed` where the stream ends before, `.timedOut` after the deadline.
    package func receiveAll(
        into buffer: UnsafeMutableRawBufferPointer, deadline: UInt64
    ) throws(TransportError) {
        var done = 0
        while done < buffer.count {
            if let count = try receive(into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...])) {
                guard count > 0 else { throw .closed }
                done += count
            } else if !hasInput(until: deadline) {
                throw .timedOut("the peer sends nothing")
            }
        }
    }

    /// Sends all of the vectors' memory.
    package func sendAll(gathering vectors: [iovec], deadline: UInt64) throws(TransportError) {
        var vectors = vectors
        var first = 0
        while first < vectors.count {
            let from = first
            let sent = try vectors.withUnsafeMutableBufferPointer { all throws(TransportError) in
                try send(UnsafeMutableBufferPointer(rebasing: all[from..<min(from + 1024, all.count)]))
            }
            if let sent {
                vectors.stepOver(sent, from: &first)
            } else if !Poll.wait(raw, Int16(POLLOUT), deadline: deadline) {
                throw .timedOut("peer takes nothing off the wire")
            }
        }
    }

    /// Ends the connection for whoever waits on it, on this side too.
    package func breakOff() { shutdown(raw, Int32(SHUT_RDWR)) }

    /// Has the system notice, within about half a minute, that the other machine is gone.
    package func watchPeer() {
        for (name, value) in [(TCP_KEEPIDLE, 10), (TCP_KEEPINTVL, 5), (TCP_KEEPCNT, 3), (TCP_USER_TIMEOUT, 30_000)] {
            var value = Int32(value)
            setsockopt(raw, Int32(IPPROTO_TCP), name, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }
}

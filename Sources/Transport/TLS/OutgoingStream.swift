// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Platform

/// A connection over TLS on which we only send, such as that to an audit repository.
package final class OutgoingStream: Sendable {
    private let socket: Socket

    /// Connects and shakes hands, waiting at most until the deadline.
    package init(host: String, port: UInt16, tls: TLSConnector, deadline: UInt64) throws(TransportError) {
        socket = try Socket.connect(to: .tcp(host: host, port: port), tls: tls, deadline: deadline)
    }

    /// Returns when the system has taken all of it.
    package func send(_ bytes: [UInt8], deadline: UInt64) throws(TransportError) {
        try socket.sendAll(bytes, deadline: deadline)
    }

    /// Of what was sent, bytes that the other machine has not acknowledged.
    package var unacknowledgedBytes: Int { Int(csystem_unacknowledged(socket.raw)) }

    /// Whether the other end has closed the connection, or it broke. What the other end sends is read and dropped.
    package var isBroken: Bool {
        guard socket.hasInput(until: 0) else { return false }
        var bytes = [UInt8](repeating: 0, count: 1024)
        do throws(TransportError) {
            let count = try bytes.withMutableRawBytes { memory throws(TransportError) in
                try socket.receive(into: memory)
            }
            return count == 0
        } catch { return true }
    }

    package func close() { socket.shutdownWriting() }
}

// SPDX-License-Identifier: Apache-2.0

/// The connections without an association, by descriptor, in the order in which they came. When it is full, the oldest one goes:
/// an honest caller's request is there within moments, so it is hardly ever his. Refusing the newest instead would let whoever
/// holds as many as fit keep everybody out.
struct HalfOpenTable {
    private struct Arrival {
        let descriptor: Int32
        let number: UInt64
    }

    private var connections: [Int32: (number: UInt64, connection: HalfOpen)] = [:]
    /// Those that went meanwhile still stand here, as numbers only, until their turn comes.
    private var arrivals: [Arrival] = []
    private var next = 0
    private var lastNumber: UInt64 = 0

    var count: Int { connections.count }
    var all: [HalfOpen] { connections.values.map(\.connection) }

    subscript(descriptor: Int32) -> HalfOpen? { connections[descriptor]?.connection }

    mutating func insert(_ connection: HalfOpen) {
        lastNumber += 1
        connections[connection.socket.raw] = (lastNumber, connection)
        arrivals.append(Arrival(descriptor: connection.socket.raw, number: lastNumber))
        guard arrivals.count > 64, arrivals.count > 4 * connections.count else { return }
        arrivals = arrivals[next...].filter { connections[$0.descriptor]?.number == $0.number }
        next = 0
    }

    mutating func remove(_ connection: HalfOpen) {
        if self[connection.socket.raw] === connection { connections[connection.socket.raw] = nil }
    }

    /// Takes out the one that came first.
    mutating func removeOldest() -> HalfOpen? {
        while next < arrivals.count {
            let oldest = arrivals[next]
            next += 1
            guard let found = connections[oldest.descriptor], found.number == oldest.number else { continue }
            connections[oldest.descriptor] = nil
            return found.connection
        }
        return nil
    }
}

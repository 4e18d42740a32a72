// SPDX-License-Identifier: Apache-2.0
import Platform

/// The threads that do the costly part of TLS, so that the accepting thread never does. Addresses take turns: a peer with a
/// thousand handshakes keeps another one waiting for a single step.
final class HandshakeThreads: Sendable {
    private struct Queue {
        var steps: [String: [@Sendable () -> Void]] = [:]
        /// Each address with steps, once, the next first.
        var turns: [String] = []
        var isStopped = false
    }

    private let queue = Monitor(Queue())

    init(count: Int) throws(SystemError) {
        for number in 1...count {
            try SystemThread(name: "handshake-\(number)") { [queue] in
                // Those who have an association go first.
                SystemThread.yieldToOthers()
                while let step = Self.next(queue) { step() }
            }.detach()
        }
    }

    /// The caller keeps the number of steps within bounds: one for each connection.
    func run(for address: String, _ step: @escaping @Sendable () -> Void) {
        queue.update { queue in
            guard !queue.isStopped else { return }
            if queue.steps[address, default: []].isEmpty { queue.turns.append(address) }
            queue.steps[address, default: []].append(step)
        }
    }

    func stop() {
        queue.update { queue in
            queue.isStopped = true
            queue.steps = [:]
            queue.turns = []
        }
    }

    private static func next(_ queue: Monitor<Queue>) -> (@Sendable () -> Void)? {
        queue.wait { queue -> (@Sendable () -> Void)?? in
            if queue.isStopped { return .some(nil) }
            guard let address = queue.turns.first else { return nil }
            queue.turns.removeFirst()
            let step = queue.steps[address]!.removeFirst()
            if queue.steps[address]!.isEmpty {
                queue.steps[address] = nil
            } else {
                queue.turns.append(address)
            }
            return step
        } ?? nil
    }
}

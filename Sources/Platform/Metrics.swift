// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Numbers for `/metrics`, in the text form of Prometheus (exposition format 0.0.4).
package final class Metrics: Sendable {
    /// A number that only grows.
    package final class Counter: Sendable {
        private let value = Atomic<Int>(0)
        package func add(_ amount: Int = 1) { value.wrappingAdd(amount, ordering: .relaxed) }
        package var current: Int { value.load(ordering: .relaxed) }
    }

    package enum Kind: String, Sendable { case counter, gauge }

    private struct Entry {
        let name: String
        let help: String
        let kind: String
        let read: @Sendable () -> Int
    }

    private let entries = Monitor<[Entry]>([])

    package init() {}

    package func counter(_ name: String, _ help: String) -> Counter {
        let counter = Counter()
        entries.withLock { $0.append(Entry(name: name, help: help, kind: "counter") { counter.current }) }
        return counter
    }

    /// A number that is read when somebody asks.
    package func gauge(_ name: String, _ help: String, kind: Kind = .gauge, _ read: @escaping @Sendable () -> Int) {
        entries.withLock { $0.append(Entry(name: name, help: help, kind: kind.rawValue, read: read)) }
    }

    package func rendered() -> String {
        entries.withLock { $0 }.map { entry in
            "# HELP \(entry.name) \(entry.help)\n# TYPE \(entry.name) \(entry.kind)\n\(entry.name) \(entry.read())\n"
        }.joined()
    }
}

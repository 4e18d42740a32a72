// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Many runs, on as many threads as are wanted, until enough states were looked at or one of them breaks a promise.
final class Simulation: Sendable {
    private struct Progress {
        var nextRun = 0
        var failure: (state: Int, violation: Violation)?
    }

    private let seed: UInt64
    private let states: Int
    private let progress = Monitor(Progress())

    /// - Parameter states: how many; rounded up to whole runs.
    init(seed: UInt64, states: Int) {
        self.seed = seed
        self.states = (states + Explorer.statesPerRun - 1) / Explorer.statesPerRun * Explorer.statesPerRun
    }

    /// - Returns: whether all promises were kept.
    func run(threads count: Int) -> Bool {
        let start = Clock.monotonicNanoseconds()
        let threads = (0..<count).compactMap { number in
            // Many calls within each other, each with a closure or two.
            try? SystemThread(name: "simulation \(number)", stackBytes: 8 << 20) { self.work() }
        }
        for thread in threads { thread.join() }
        let seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9
        if let (state, violation) = progress.withLock({ $0.failure }) {
            print("state \(state), seed \(seed): \(violation.what)")
            print("see it again: snimok-prove simulate --seed \(seed) --state \(state)")
            return false
        }
        let processorSeconds = Double(clock()) / Double(CLOCKS_PER_SEC)
        print(
            "\(Int(Double(states) / seconds)) states a second, \(Int(Double(states) / processorSeconds)) a second of",
            "processor time, \(Int(seconds)) s, \(threads.count) threads")
        print("simulated \(states) states, seed \(seed), 0 lost")
        return true
    }

    private func work() {
        let pool = BufferPool(capacity: 1 << 18)
        while let run = nextRun() {
            let explorer = Explorer(seed: seed, run: run, pool: pool, trace: Trace(isOn: false))
            do { try explorer.run() } catch {
                let state = run * Explorer.statesPerRun + explorer.state
                progress.withLock { progress in
                    if progress.failure.map({ $0.state > state }) ?? true { progress.failure = (state, error) }
                }
            }
        }
    }

    private func nextRun() -> Int? {
        progress.withLock { progress in
            guard progress.failure == nil, progress.nextRun * Explorer.statesPerRun < states else { return nil }
            progress.nextRun += 1
            return progress.nextRun - 1
        }
    }

    /// Goes the way to one state again and prints what happens on it.
    static func replay(seed: UInt64, state: Int) -> Bool {
        let trace = Trace(isOn: true)
        let explorer = Explorer(
            seed: seed, run: state / Explorer.statesPerRun, last: state % Explorer.statesPerRun,
            pool: BufferPool(capacity: 1 << 18), trace: trace)
        do {
            try explorer.run()
            print("state \(state), seed \(seed): nothing lost")
            return true
        } catch {
            for line in trace.lines { print(line) }
            print("state \(state), seed \(seed): \(error.what)")
            return false
        }
    }
}

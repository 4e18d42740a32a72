// SPDX-License-Identifier: Apache-2.0
import Platform

/// The command line.
enum ProveTool {
    private static let help = """
        Proves on a disk in memory that crashes and errors of the disk lose nothing that the log has acknowledged.

        snimok-prove simulate [--states N] [--seed S] [--threads N]
            Looks at N states (100000) that a crash can leave. Each is recovered, checked against what was promised, and
            used again. The seed is random unless it is given; it is printed, and gives the same states again.
        snimok-prove simulate --seed S --state N
            Looks at one state again and prints the way to it.

        Ends with 1 if a promise was broken.
        """

    static func run(_ arguments: [String]) -> Int32 {
        // What the log says about its disasters would be all that is seen.
        Log.threshold.store(0, ordering: .relaxed)
        var words = arguments
        guard words.first == "simulate" else {
            print(help)
            return words.first == "--help" ? 0 : 2
        }
        words.removeFirst()
        var numbers: [String: UInt64] = [:]
        while words.count >= 2, let number = UInt64(words[1]) {
            numbers[words[0]] = number
            words.removeFirst(2)
        }
        guard words.isEmpty, Set(numbers.keys).isSubset(of: ["--states", "--seed", "--state", "--threads"]) else {
            print(help)
            return 2
        }
        let seed = numbers["--seed"] ?? UInt64.random(in: 1..<1 << 32)
        if let state = numbers["--state"] { return Simulation.replay(seed: seed, state: Int(state)) ? 0 : 1 }
        let simulation = Simulation(seed: seed, states: Int(numbers["--states"] ?? 100_000))
        return simulation.run(threads: Int(numbers["--threads"] ?? 1)) ? 0 : 1
    }
}

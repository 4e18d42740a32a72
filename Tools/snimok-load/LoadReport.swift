// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Glibc

/// The figures of a run. One megabyte is 10⁶ bytes, one gigabyte 10⁹.
struct LoadReport: Codable {
    struct Latency: Codable {
        let p50, p90, p99, p999, maximum: Double
    }

    let instances: Int
    let acknowledged: Int
    let seconds: Double
    let bytes: Int
    let instancesPerSecond: Double
    let megabytesPerSecond: Double
    let latencyMilliseconds: Latency
    /// Of this program, in user and system mode: what it took from the archive where both share a machine.
    let cpuSecondsUser: Double
    let cpuSecondsSystem: Double
    let complaints: [String: Int]

    init(instances: Int, seconds: Double, _ tally: LoadRecord.Tally) {
        self.instances = instances
        self.seconds = seconds
        acknowledged = tally.acknowledged
        bytes = tally.bytes
        instancesPerSecond = Double(tally.acknowledged) / seconds
        megabytesPerSecond = Double(tally.bytes) / 1e6 / seconds
        latencyMilliseconds = Self.latency(tally.nanoseconds.sorted())
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        cpuSecondsUser = Self.seconds(usage.ru_utime)
        cpuSecondsSystem = Self.seconds(usage.ru_stime)
        complaints = tally.complaints
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    var text: String {
        let latency = latencyMilliseconds
        let cpu = cpuSecondsUser + cpuSecondsSystem
        let megabytes = Self.decimal(Double(bytes) / 1e6)
        var lines = [
            "acknowledged  \(acknowledged) of \(instances) instances, \(megabytes) MB in \(Self.decimal(seconds)) s",
            "rate          \(Self.decimal(instancesPerSecond)) instances/s, \(Self.decimal(megabytesPerSecond)) MB/s",
            "latency, ms   p50 \(Self.decimal(latency.p50)), p90 \(Self.decimal(latency.p90)), "
                + "p99 \(Self.decimal(latency.p99)), p99.9 \(Self.decimal(latency.p999)), maximum \(Self.decimal(latency.maximum))",
            "own CPU, s    \(Self.decimal(cpuSecondsUser)) user, \(Self.decimal(cpuSecondsSystem)) system"
                + (bytes > 0 ? ", \(Self.decimal(cpu * 1e9 / Double(bytes))) per GB" : ""),
        ]
        for (what, count) in complaints.sorted(by: { $0.value > $1.value }) { lines.append("  \(count) × \(what)") }
        return lines.joined(separator: "\n")
    }

    private static func latency(_ sorted: [UInt64]) -> Latency {
        func percentile(_ part: Double) -> Double {
            guard !sorted.isEmpty else { return 0 }
            // The nearest rank: a value that was really measured.
            let rank = Int((part * Double(sorted.count)).rounded(.up))
            return Double(sorted[min(max(rank, 1), sorted.count) - 1]) / 1e6
        }
        return Latency(
            p50: percentile(0.5), p90: percentile(0.9), p99: percentile(0.99), p999: percentile(0.999),
            maximum: percentile(1))
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }

    /// Two decimals.
    private static func decimal(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
    }
}

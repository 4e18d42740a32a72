// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Glibc

/// The figures of a run. One megabyte is 10⁶ bytes, one gigabyte 10⁹.
struct LoadReport: Codable {
    let instances: Int
    let acknowledged: Int
    let seconds: Double
    let bytes: Int
    let instancesPerSecond: Double
    let megabytesPerSecond: Double
    let latencyMilliseconds: LatencyFigures
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
        latencyMilliseconds = LatencyFigures(tally.nanoseconds)
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        cpuSecondsUser = Self.seconds(usage.ru_utime)
        cpuSecondsSystem = Self.seconds(usage.ru_stime)
        complaints = tally.complaints
    }

    var json: String { Figures.json(self) }

    var text: String {
        let latency = latencyMilliseconds
        let cpu = cpuSecondsUser + cpuSecondsSystem
        let megabytes = Figures.decimal(Double(bytes) / 1e6)
        var lines = [
            "acknowledged  \(acknowledged) of \(instances) instances, \(megabytes) MB in \(Figures.decimal(seconds)) s",
            "rate          \(Figures.decimal(instancesPerSecond)) instances/s, \(Figures.decimal(megabytesPerSecond)) MB/s",
            "latency, ms   \(latency.text)",
            "own CPU, s    \(Figures.decimal(cpuSecondsUser)) user, \(Figures.decimal(cpuSecondsSystem)) system"
                + (bytes > 0 ? ", \(Figures.decimal(cpu * 1e9 / Double(bytes))) per GB" : ""),
        ]
        for (what, count) in complaints.sorted(by: { $0.value > $1.value }) { lines.append("  \(count) × \(what)") }
        return lines.joined(separator: "\n")
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
}

/// The figures of queries.
struct FindReport: Codable {
    let queries: Int
    let rows: Int
    let seconds: Double
    let rowsPerSecond: Double
    let latencyMilliseconds: LatencyFigures
    let complaints: [String: Int]

    init(seconds: Double, nanoseconds: [UInt64], rows: Int, complaints: [String: Int]) {
        queries = nanoseconds.count
        self.rows = rows
        self.seconds = seconds
        rowsPerSecond = Double(rows) / seconds
        latencyMilliseconds = LatencyFigures(nanoseconds)
        self.complaints = complaints
    }

    var json: String { Figures.json(self) }

    var text: String {
        var lines = [
            "answered      \(queries) queries, \(rows) rows in \(Figures.decimal(seconds)) s",
            "rate          \(Figures.decimal(rowsPerSecond)) rows/s",
            "latency, ms   \(latencyMilliseconds.text)",
        ]
        for (what, count) in complaints { lines.append("  \(count) × \(what)") }
        return lines.joined(separator: "\n")
    }
}

/// What most and what the slowest waited.
struct LatencyFigures: Codable {
    let p50, p90, p99, p999, maximum: Double

    init(_ nanoseconds: [UInt64]) {
        let sorted = nanoseconds.sorted()
        func percentile(_ part: Double) -> Double {
            guard !sorted.isEmpty else { return 0 }
            // The nearest rank: a value that was really measured.
            let rank = Int((part * Double(sorted.count)).rounded(.up))
            return Double(sorted[min(max(rank, 1), sorted.count) - 1]) / 1e6
        }
        p50 = percentile(0.5)
        p90 = percentile(0.9)
        p99 = percentile(0.99)
        p999 = percentile(0.999)
        maximum = percentile(1)
    }

    var text: String {
        "p50 \(Figures.decimal(p50)), p90 \(Figures.decimal(p90)), p99 \(Figures.decimal(p99)), "
            + "p99.9 \(Figures.decimal(p999)), maximum \(Figures.decimal(maximum))"
    }
}

enum Figures {
    /// Two decimals.
    static func decimal(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
    }

    static func json(_ figures: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(figures)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}

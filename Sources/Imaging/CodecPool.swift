// SPDX-License-Identifier: Apache-2.0
import Platform

/// The worker processes: started when they are first needed, lent to one request at a time, replaced when they die, and
/// after a while anyway, so that nothing grows in them.
package final class CodecPool: Sendable {
    package struct Settings: Sendable {
        package var workers = 2
        /// Of one worker, beyond what the program itself takes.
        package var memoryBytes: UInt64 = 1 << 30
        /// Of one frame.
        package var cpuSeconds: UInt32 = 30
        package var wallSeconds = 60.0

        package init() {}
    }

    private static let requestsMaximum = 5000

    private struct State: @unchecked Sendable {
        var idle: [CodecProcess] = []
        var lent = 0
    }

    private let settings: Settings
    private let state = Monitor(State())
    private let stopped: Metrics.Counter

    package init(_ settings: Settings, metrics: Metrics) {
        self.settings = settings
        stopped = metrics.counter("snimok_codec_workers_stopped_total", "Image decoders that died or were stopped.")
        let state = state
        metrics.gauge("snimok_codec_workers", "Image decoders running.") {
            state.withLock { $0.idle.count + $0.lent }
        }
    }

    /// One request to one worker, or several that belong together.
    struct Lease {
        fileprivate let process: CodecProcess
        fileprivate let settings: Settings

        /// - Parameter frame: stands at the end of the request, and is sent from where it lies.
        func call(_ request: CodecMessage, _ frame: UnsafeRawBufferPointer? = nil) throws(ImagingError) -> CodecMessage
        {
            var request = request
            if let frame { request.appendLength(of: frame) }
            return try process.call(
                request, frame ?? UnsafeRawBufferPointer(start: nil, count: 0), cpuSeconds: settings.cpuSeconds,
                deadline: Clock.deadline(seconds: settings.wallSeconds))
        }
    }

    func withWorker<Result>(_ body: (Lease) throws -> Result) throws -> Result {
        let process = try borrow()
        defer { giveBack(process) }
        return try body(Lease(process: process, settings: settings))
    }

    private func borrow() throws(ImagingError) -> CodecProcess {
        let maximum = settings.workers
        let idle = state.wait(until: Clock.deadline(seconds: settings.wallSeconds)) { state -> CodecProcess?? in
            guard state.lent < maximum else { return nil }
            state.lent += 1
            return .some(state.idle.popLast())
        }
        guard let idle else { throw .busy }
        if let idle { return idle }
        do { return try CodecProcess(memoryBytes: settings.memoryBytes) } catch {
            state.update { $0.lent -= 1 }
            throw error
        }
    }

    private func giveBack(_ process: CodecProcess) {
        if !process.isAlive {
            stopped.add()
            Log.warning("an image decoder was stopped", [:])
        }
        let isKept = process.isAlive && process.requests < Self.requestsMaximum
        if !isKept { process.kill() }
        state.update { state in
            state.lent -= 1
            if isKept { state.idle.append(process) }
        }
    }

    /// Ends all workers that are idle; those at work end with their requests.
    package func stop() {
        for process in state.update({ state in
            defer { state.idle = [] }
            return state.idle
        }) { process.kill() }
    }
}

// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Glibc
import Platform

/// Has the device bring what was stored last into the page cache as soon as storing rests. Records are written past it, for a
/// copy of what nobody may ask for costs a store a second of processor time a gigabyte; but what has just come is what is
/// opened next, and then a viewer waited for the device with each frame (1.2 ms instead of 0.6). Not for large objects, which
/// have files of their own and are written through it.
final class RecentRecords: Sendable {
    /// Records side by side in a segment.
    private struct Stretch {
        let writer: UInt32
        let segment: UInt32
        var range: Range<UInt64>
    }

    private struct State {
        /// What is still to be brought, the oldest first, which a viewer shows first.
        var stretches: [Stretch] = []
        var bytes: UInt64 = 0
        var storedAt: UInt64 = 0
        var isStopping = false
        var isRunning = true

        mutating func add(_ location: RecordLocation) {
            bytes += location.length
            let range = location.offset..<location.offset + location.length
            if let last = stretches.last, last.segment == location.segment, last.writer == location.writer,
                last.range.upperBound == range.lowerBound
            {
                stretches[stretches.count - 1].range = last.range.lowerBound..<range.upperBound
            } else {
                stretches.append(Stretch(writer: location.writer, segment: location.segment, range: range))
            }
        }

        /// The next piece, at most so long.
        mutating func take(_ maximum: UInt64) -> Stretch? {
            guard var first = stretches.first else { return nil }
            let end = first.range.lowerBound + min(UInt64(first.range.count), maximum)
            bytes -= end - first.range.lowerBound
            if end == first.range.upperBound {
                stretches.removeFirst()
            } else {
                stretches[0].range = end..<first.range.upperBound
            }
            first.range = first.range.lowerBound..<end
            return first
        }
    }

    private static let restSeconds = 0.2
    /// Between two looks at whether storing goes on.
    private static let stepBytes: UInt64 = 8 << 20
    /// Of older records nothing is brought.
    private static let bytesMaximum = min(
        1 << 30, UInt64(max(0, sysconf(Int32(_SC_PHYS_PAGES)))) * UInt64(sysconf(Int32(_SC_PAGESIZE))) / 8)
    private let reader: LogReader
    private let state = Monitor(State())

    init(_ reader: LogReader) throws(SystemError) {
        self.reader = reader
        try SystemThread(name: "recent") { [self] in
            run()
            state.update { $0.isRunning = false }
        }.detach()
    }

    func stop() {
        state.update { $0.isStopping = true }
        state.wait { $0.isRunning ? nil : true }
    }

    /// Takes note of a batch that was appended.
    func stored(_ batch: some Sequence<RecordLocation>) {
        let isFirst = state.withLock { state in
            defer { state.storedAt = Clock.monotonicNanoseconds() }
            let isFirst = state.stretches.isEmpty
            for location in batch { state.add(location) }
            while state.bytes > Self.bytesMaximum { _ = state.take(state.bytes - Self.bytesMaximum) }
            return isFirst
        }
        // The thread looks by itself as long as there is something.
        if isFirst { state.update { _ in } }
    }

    private func run() {
        while state.wait({ $0.isStopping ? false : $0.stretches.isEmpty ? nil : true })! {
            let rest = UInt64(Self.restSeconds * 1e9)
            let next = state.withLock { state -> Stretch? in
                guard Clock.elapsed(since: state.storedAt, now: Clock.monotonicNanoseconds()) >= rest else {
                    return nil
                }
                return state.take(Self.stepBytes)
            }
            if let next {
                reader.bring(writer: next.writer, segment: next.segment, next.range)
            } else {
                _ = state.wait(until: Clock.deadline(seconds: Self.restSeconds)) { $0.isStopping ? true : nil }
            }
        }
    }
}

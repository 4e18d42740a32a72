// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Seeded

/// What is handed to the log: batches of records of all kinds, some of them made to look like others from within.
struct Workload {
    private var random: SplitMix

    init(_ random: inout SplitMix) { self.random = SplitMix(seed: random.next(), []) }

    /// - Parameters:
    ///   - oracle: knows the records whose bytes may stand in payloads; is told of the new ones.
    ///   - end: where the log ends.
    mutating func batch(_ oracle: inout Oracle, end: LogPosition) -> [Submission] {
        (0..<(random.oneIn(3) ? 1 : 1 + random.below(6))).map { _ in
            let submission = submission(oracle, end)
            oracle.submit(submission)
            return submission
        }
    }

    private mutating func submission(_ oracle: Oracle, _ end: LogPosition) -> Submission {
        let number = oracle.submissions.count
        switch random.below(20) {
        case 0, 1: return Submission(number, .sighting, payload: [])
        case 2: return Submission(number, .tombstone, payload: [])
        case 3: return Submission(number, .annotation, payload: [])
        case 4, 5: return Submission(number, .largeInstance, payload: bytes(1 + random.below(3000)))
        case 6, 7, 8, 9: return Submission(number, .instance, payload: bait(oracle, end, number))
        default: return Submission(number, .instance, payload: bytes(length()))
        }
    }

    private mutating func length() -> Int {
        switch random.below(64) {
        // Its payload begins at a page of its own, and has two chunks.
        case 0: 65_536 + random.below(5000)
        case 1..<16: 4000 + random.below(8000)
        default: 1 + random.below(3500)
        }
    }

    /// A payload that holds whole records of this log where a reader that has lost its way looks for some.
    private mutating func bait(_ oracle: Oracle, _ end: LogPosition, _ number: Int) -> [UInt8] {
        let all = oracle.kept.filter { $0.bytes.count <= 8192 }
        guard !all.isEmpty else { return bytes(length()) }
        var payload = [UInt8](repeating: 0, count: 4096 - Submission.headBytes(number) % 4096)
        for page in 1...1 + random.below(3) {
            // The same offset of another segment is the place where a bait has most in common with a record.
            let there = all.filter { $0.location.offset == end.endOffset + UInt64(page) * 4096 }
            payload += random.pick(there.isEmpty || random.oneIn(3) ? all : there).bytes
        }
        return payload
    }

    /// Bytes that look like nothing.
    private mutating func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: (count + 7) / 8 * 8) { buffer, filled in
            for offset in stride(from: 0, to: buffer.count / 8 * 8, by: 8) where offset < count {
                UnsafeMutableRawPointer(buffer.baseAddress!).storeBytes(
                    of: random.next(), toByteOffset: offset, as: UInt64.self)
            }
            filled = count
        }
    }
}

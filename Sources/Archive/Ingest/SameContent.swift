// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Platform

/// Finds the content of a record whose own cannot be read, or was given up by a compaction since it was damaged: at the same
/// place of the mirror, or in the record that replaced it later, here or there. So the catalog has it by the number under
/// which it came, which decides which deletions hold it and who else has sent it.
final class SameContent: @unchecked Sendable {
    private struct Replacement {
        let sequence: UInt64
        let location: RecordLocation
    }

    // Reading it goes beside anything.
    private let log: BlobLog
    private let start: LogPosition
    /// Records that replace damaged ones, in the log's order; nil: not looked for yet, which reads the head of each record.
    private let replacements = Monitor<[BlobID: [Replacement]]?>(nil)

    /// - Parameter start: of the replay; what replaces one of its records stands behind it.
    init(_ log: BlobLog, after start: LogPosition) {
        self.log = log
        self.start = start
    }

    /// What can be made of a record that has the content of `record`; nil: of none.
    func first<Made>(for record: StoredRecord, _ make: (StoredRecord) -> Made?) -> Made? {
        func made(_ other: StoredRecord?) -> Made? {
            guard let other, other.header.hasContent, other.header.blobID == record.header.blobID else { return nil }
            return make(other)
        }
        if record.header.hasContent, let made = made(log.recoveryMirror.record(at: record.location)) { return made }
        for replacement in replacements(of: record.header.blobID) where replacement.sequence > record.header.sequence {
            if let made = made(try? log.reader.record(at: replacement.location)) { return made }
            if let made = made(log.recoveryMirror.record(at: replacement.location)) { return made }
        }
        return nil
    }

    private func replacements(of blobID: BlobID) -> [Replacement] {
        replacements.update { known in
            let found = known ?? read()
            known = found
            return found[blobID] ?? []
        }
    }

    private func read() -> [BlobID: [Replacement]] {
        var found: [BlobID: [Replacement]] = [:]
        do throws(LogError) {
            try log.forEachHead(after: start) { record throws(LogError) in
                guard record.header.hasContent, record.header.flags.contains(.heals) else { return }
                found[record.header.blobID, default: []].append(
                    Replacement(sequence: record.header.sequence, location: record.location))
            }
        } catch {
            Log.error("replacements of damaged records cannot be looked for", ["why": "\(error)"])
        }
        return found
    }
}

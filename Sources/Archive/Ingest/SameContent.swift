// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Platform

/// Finds the content of a record whose own cannot be read, or was given up by a compaction since it was damaged: at the same
/// place of the mirror, or in the record that replaced it later. So the catalog has it by the number under which it came,
/// which decides which deletions hold it and who else has sent it.
final class SameContent: @unchecked Sendable {
    // Reading it goes beside anything.
    private let log: BlobLog
    /// Records that replace damaged ones, in the log's order; nil: not looked for yet, which reads the head of every record.
    private let replacements = Monitor<[BlobID: [Replacement]]?>(nil)

    private struct Replacement {
        let sequence: UInt64
        let location: RecordLocation
    }

    init(_ log: BlobLog) { self.log = log }

    /// What can be made of a record that has the content of `record`; nil: of none.
    func first<Made>(for record: StoredRecord, _ make: (StoredRecord) -> Made?) -> Made? {
        if record.header.hasContent, let mirrored = log.recordInMirror(at: record.location),
            mirrored.header == record.header, let made = make(mirrored)
        {
            return made
        }
        for replacement in replacements(of: record.header.blobID) where replacement.sequence > record.header.sequence {
            if let content = try? log.reader.record(at: replacement.location), let made = make(content) { return made }
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
            try log.forEachRecord { record throws(LogError) in
                guard record.header.hasContent, record.header.flags.contains(.heals) else { return }
                found[record.header.blobID, default: []].append(
                    Replacement(sequence: record.header.sequence, location: record.location))
            } gap: { _ in
            }
        } catch {
            Log.error("replacements of damaged records cannot be looked for", ["why": "\(error)"])
        }
        return found
    }
}

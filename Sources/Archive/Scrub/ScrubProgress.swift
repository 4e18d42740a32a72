// SPDX-License-Identifier: Apache-2.0
import BlobLog
import FoundationEssentials
import Platform

/// How far the scrub has come and what it found, in `scrub.json`. It may be deleted: the scrub begins anew.
package struct ScrubProgress: Codable, Equatable, Sendable {
    /// Where the pass under way goes on: behind this record, not before this segment.
    package var segment: UInt32 = 0
    package var sequence: UInt64 = 0
    /// Damaged records that the pass under way has found so far, and the last full one in all.
    package var found = 0
    package var lastFound = 0
    /// When the last full pass ended, in seconds since 1970; 0: none was.
    package var lastFullPass: Int64 = 0

    package init() {}

    package var isWithinPass: Bool { segment > 0 }

    /// What is unreadable counts as nothing.
    package init(_ directory: DataDirectory) {
        guard let bytes = try? FileSystem.contents(Self.path(directory)), JSONValue.isNested(atMost: 4, bytes),
            let known = try? JSONDecoder().decode(Self.self, from: Data(bytes))
        else { return }
        self = known
    }

    func save(_ directory: DataDirectory) throws(SystemError) {
        guard let text = try? JSONEncoder().encode(self) else { return }
        try directory.volume.replace(Self.path(directory), with: Array(text) + [UInt8(ascii: "\n")])
    }

    private static func path(_ directory: DataDirectory) -> String { "\(directory.path)/scrub.json" }
}

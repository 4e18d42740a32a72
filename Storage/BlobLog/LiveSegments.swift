// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// A segment by its name: compaction gives the same number the next generation, which is the file's writer id.
package struct SegmentName: Hashable, Sendable {
    package let generation: UInt32
    package let number: UInt32

    package init(generation: UInt32, number: UInt32) {
        self.generation = generation
        self.number = number
    }

    /// nil: the file is no segment.
    package init?(fileName: String) {
        let parts = fileName.dropLast(4).split(separator: "-", omittingEmptySubsequences: false)
        guard fileName.hasSuffix(".seg"), parts.count == 2, parts.allSatisfy({ $0.utf8.count == 8 }),
            let generation = UInt32(parts[0], radix: 16), let number = UInt32(parts[1], radix: 16)
        else { return nil }
        self.init(generation: generation, number: number)
    }

    package var fileName: String {
        "\(Hexadecimal.text(generation, width: 8))-\(Hexadecimal.text(number, width: 8)).seg"
    }
}

extension Segment {
    private static let listingsMaximum = 4

    /// The highest generation of each number, rising by number; lower ones are leftovers of a compaction.
    package static func live(_ directory: DataDirectory) throws(LogError) -> [SegmentName] {
        var live: [SegmentName] = []
        for _ in 0..<listingsMaximum {
            live = highest(try all(directory))
            // A listing during a compaction may show neither the old file nor the new one; then a number is left out.
            if live.indices.allSatisfy({ Int(live[$0].number) == $0 + 1 }) { break }
        }
        return live
    }

    /// Every generation that is there.
    static func all(_ directory: DataDirectory) throws(LogError) -> [SegmentName] {
        try wrappingSystemErrors { () throws(SystemError) in
            try directory.volume.entries(directory.segments).compactMap(SegmentName.init(fileName:))
        }
    }

    private static func highest(_ names: [SegmentName]) -> [SegmentName] {
        var generations: [UInt32: UInt32] = [:]
        for name in names { generations[name.number] = max(name.generation, generations[name.number] ?? 0) }
        return generations.map { SegmentName(generation: $0.value, number: $0.key) }
            .sorted { $0.number < $1.number }
    }

    /// How long the file is; nil: there is none of that name.
    package static func bytes(
        _ directory: DataDirectory, generation: UInt32, number: UInt32
    ) throws(LogError) -> UInt64? {
        try directory.bytes(directory.segment(writer: generation, number: number))
    }
}

// SPDX-License-Identifier: Apache-2.0
import Platform

/// Walks through one segment, wherever its file stands.
package struct SegmentCheck {
    private let directory: DataDirectory
    /// Of this check alone: what it opens is closed with it.
    package let reader: LogReader

    /// - Parameter directory: of the archive that the segment is of, and where its large objects are.
    package init(_ directory: DataDirectory) {
        self.directory = directory
        reader = LogReader(directory)
    }

    /// Hands out each readable record of the file, and says where there is none though there should be one.
    /// - Parameter path: where the file stands, if not in the directory.
    package func forEachRecord(
        of name: SegmentName, at path: String? = nil, _ body: (StoredRecord) throws(LogError) -> Void,
        gap: (LogScan.Gap) throws(LogError) -> Void
    ) throws(LogError) {
        let segment: Segment
        do throws(LogError) {
            segment = try Segment(directory, writer: name.generation, number: name.number, copy: path)
        } catch {
            guard error.isDamage else { throw error }
            let bytes = try? Segment.bytes(directory, generation: name.generation, number: name.number)
            return try gap(LogScan.Gap(segment: name.number, range: 0..<(bytes ?? 0)))
        }
        let scanner = LogScanner(directory: directory, reader: reader, writer: name.generation)
        try scanner.scan(segment, from: UInt64(Segment.blockBytes), body, gap: gap)
    }
}

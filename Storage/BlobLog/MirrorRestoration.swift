// SPDX-License-Identifier: Apache-2.0
import Platform

extension Mirror {
    /// Writes records whose heads cannot be read back to their places, as the mirror has them there. Of such a record nobody
    /// knows what it was, so that it cannot be healed by a further one: it may be a deletion. Nothing else can come to stand
    /// there, since a header holds for one place of one segment only, and what can be read is not touched.
    /// - Parameter range: of a segment, before the log's end.
    /// - Returns: how many records can be read again.
    package func restore(_ range: Range<UInt64>, of name: SegmentName) throws(LogError) -> Int {
        guard let link else { return 0 }
        let good = try link.reader.segment(writer: name.generation, number: name.number)
        let bad = try Segment(archive, writer: name.generation, number: name.number, forWriting: true)
        guard try MirrorFile.isSame(good.file, bad.file, 0..<UInt64(Segment.blockBytes)) else { return 0 }
        let reader = LogReader(archive)
        var offset = range.lowerBound
        var count = 0
        while offset < range.upperBound {
            guard let header = try good.header(at: offset) else {
                offset += RecordHeader.alignment
                continue
            }
            let place = offset..<offset + header.recordLength
            // A large object's file may be missing while its record is good.
            let isReadable =
                try header.kind == .largeInstance
                ? bad.header(at: offset) != nil : (try? reader.record(in: bad, at: offset)) != nil
            if place.upperBound <= range.upperBound, !isReadable {
                try check(header, good, offset, link.reader)
                try MirrorFile.copy(good.file, place, to: bad.file)
                count += 1
            }
            offset = place.upperBound
        }
        return count
    }

    private func check(
        _ header: RecordHeader, _ segment: Segment, _ offset: UInt64, _ reader: LogReader
    ) throws(LogError) {
        let record = try reader.recordFromDevice(
            at: RecordLocation(
                writer: segment.writer, segment: segment.number, offset: offset, length: header.recordLength))
        if header.hasContent { try record.verifyFromDevice() }
    }
}

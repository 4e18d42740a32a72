// SPDX-License-Identifier: Apache-2.0
import BlobLog
import DICOM
import Platform

/// The fragments of encapsulated pixel data, by their places.
package enum StoredFragments {
    /// The values of all fragments behind the Basic Offset Table (PS3.5 section A.4), in the payload.
    package static func ranges(_ record: StoredRecord, _ pixels: StoredHeader.Place) throws -> [Range<UInt64>] {
        var ranges: [Range<UInt64>] = []
        let buffer = ReadBuffer()
        var offset = UInt64(pixels.range.lowerBound)
        let end = UInt64(pixels.range.upperBound)
        var isOffsetTable = true
        while offset + 8 <= end {
            let head = try record.read(offset..<offset + 8, into: buffer)
            let length = UInt64(head.littleEndian(at: 4, as: UInt32.self))
            guard head.littleEndian(at: 0, as: UInt32.self) == 0xE000_FFFE, length <= end - offset - 8 else {
                throw StoredImage.Failure.framesUnknown
            }
            if !isOffsetTable { ranges.append(offset + 8..<offset + 8 + length) }
            isOffsetTable = false
            offset += 8 + length
        }
        return ranges
    }
}

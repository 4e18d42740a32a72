// SPDX-License-Identifier: Apache-2.0
import BlobLog
import DICOM
import Platform

/// Values that cannot be given out as the bytes of the payload.
package enum StoredValue {
    /// What a Deflated data set may inflate to in memory.
    private static let inflatedMaximum = 1 << 30

    /// A value in little endian, inflated where the data set is Deflated.
    package static func littleEndian(_ record: StoredRecord, _ place: StoredHeader.Place) throws -> [UInt8] {
        let range = place.range
        let bytes: [UInt8]
        if TransferSyntax(uid: record.provenance[.transferSyntaxUID]).isDeflated {
            let all = try inflated(record)
            guard range.upperBound <= all.count else { throw LogError.damaged("a value beyond the inflated data set") }
            bytes = Array(all[range])
        } else {
            bytes = Array(
                try record.read(UInt64(range.lowerBound)..<UInt64(range.upperBound), into: ReadBuffer()))
        }
        guard place.isBigEndian, place.vr.wordSize > 1 else { return bytes }
        return bytes.withRawBytes { ByteOrder.swapped($0, wordSize: place.vr.wordSize) }
    }

    /// The whole of a Deflated data set.
    package static func inflated(_ record: StoredRecord) throws(LogError) -> [UInt8] {
        var bytes: [UInt8] = []
        let inflater = Inflater(maximumBytes: inflatedMaximum)
        func damaged(_ error: DataSetError) -> LogError { .damaged("blob \(record.header.blobID): \(error)") }
        try record.forEachPiece(
            in: record.dataSetOffset..<record.header.payloadLength,
            { piece throws(LogError) in
                do throws(DataSetError) {
                    try inflater.inflate(piece) { part throws(DataSetError) in bytes.append(contentsOf: part) }
                } catch { throw damaged(error) }
            }, onError: { $0 })
        return bytes
    }

    /// The header for rendering: everything in front of the pixel data in Explicit VR Little Endian, whatever its length
    /// (overlays and lookup tables are large values), without file meta group.
    package static func headerBeforePixels(_ record: StoredRecord, _ pixels: StoredHeader.Place) throws -> [UInt8] {
        let syntax = TransferSyntax(uid: record.provenance[.transferSyntaxUID])
        let end = pixels.elementOffset
        let bytes: [UInt8]
        let start: Int
        if syntax.isDeflated {
            start = 0
            bytes = Array(try inflated(record).prefix(end))
        } else {
            start = Int(record.dataSetOffset)
            bytes = Array(try record.read(UInt64(start)..<UInt64(end), into: ReadBuffer()))
        }
        let isExplicit = !syntax.isImplicitVR && !syntax.isBigEndian
        if isExplicit { return bytes }
        var reencoder = Reencoder(from: syntax, to: .explicitVRLittleEndian, position: start)
        return try bytes.withRawBytes { (bytes) throws(DataSetError) in
            try reencoder.consume(ByteWindow(bytes, offset: start, isLast: true))
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import BlobLog
import DICOM
import Platform

/// Values that cannot be given out as the bytes of the payload.
package enum StoredValue {
    /// What a Deflated data set may inflate to in memory.
    private static let inflatedMaximum = 256 << 20
    /// Of what is around pixel data, in memory.
    private static let headerMaximum = 256 << 20

    /// A value in little endian, inflated where the data set is Deflated.
    package static func littleEndian(_ record: StoredRecord, _ place: StoredHeader.Place) throws -> [UInt8] {
        let range = place.range
        let bytes: [UInt8]
        if TransferSyntax(uid: record.provenance[.transferSyntaxUID]).isDeflated {
            let all = try inflated(record, atMost: range.upperBound)
            guard range.upperBound <= all.count else { throw LogError.damaged("a value beyond the inflated data set") }
            bytes = Array(all[range])
        } else {
            bytes = try record.bytes(UInt64(range.lowerBound)..<UInt64(range.upperBound))
        }
        guard place.isBigEndian, place.vr.wordSize > 1 else { return bytes }
        return bytes.withRawBytes { ByteOrder.swapped($0, wordSize: place.vr.wordSize) }
    }

    /// A Deflated data set, as far as it is wanted. What lies behind is inflated and dropped, for its end must be sound.
    static func inflated(_ record: StoredRecord, atMost maximum: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        let inflater = Inflater(maximumBytes: 4 << 30)
        try record.forEachPiece(
            in: record.dataSetOffset..<record.header.payloadLength,
            { piece throws(LogError) in
                do throws(DataSetError) {
                    try inflater.inflate(piece) { part throws(DataSetError) in
                        if bytes.count < min(maximum, inflatedMaximum) { bytes.append(contentsOf: part) }
                    }
                } catch { throw .damaged("blob \(record.header.blobID): \(error)") }
            }, onError: { $0 })
        guard bytes.count < inflatedMaximum else { throw StoredImage.Failure.tooLarge }
        return bytes
    }

    /// Everything in front of the pixel data in Explicit VR Little Endian, whatever its length (overlays and lookup tables
    /// are large values), without file meta group.
    static func headerBeforePixels(
        _ record: StoredRecord, _ pixels: StoredHeader.Place, replacing replacements: [DataSet.Element]
    ) throws -> [UInt8] {
        let syntax = TransferSyntax(uid: record.provenance[.transferSyntaxUID])
        let start = syntax.isDeflated ? 0 : Int(record.dataSetOffset)
        let bytes = try dataSet(record, start..<pixels.elementOffset)
        let isExplicit = !syntax.isImplicitVR && !syntax.isBigEndian
        return isExplicit && replacements.isEmpty ? bytes : try explicit(bytes, at: start, syntax, replacements)
    }

    /// Everything behind the pixel data, likewise.
    static func trailerBehindPixels(_ record: StoredRecord, _ pixels: StoredHeader.Place) throws -> [UInt8] {
        let syntax = TransferSyntax(uid: record.provenance[.transferSyntaxUID])
        // The delimiter of the fragments is no part of the value.
        let start = pixels.range.upperBound + (pixels.isEncapsulated ? 8 : 0)
        let bytes = try dataSet(record, start..<Int.max)
        return bytes.isEmpty ? [] : try explicit(bytes, at: start, syntax, [])
    }

    /// A part of the data set, inflated where it is Deflated; what lies beyond its end is left out.
    private static func dataSet(_ record: StoredRecord, _ range: Range<Int>) throws -> [UInt8] {
        if TransferSyntax(uid: record.provenance[.transferSyntaxUID]).isDeflated {
            let all = try inflated(record, atMost: range.upperBound)
            return Array(all[range.clamped(to: 0..<all.count)])
        }
        let range = range.clamped(to: 0..<Int(record.header.payloadLength))
        guard range.count <= headerMaximum else { throw StoredImage.Failure.tooLarge }
        return try record.bytes(UInt64(range.lowerBound)..<UInt64(range.upperBound))
    }

    private static func explicit(
        _ bytes: [UInt8], at start: Int, _ syntax: TransferSyntax, _ replacements: [DataSet.Element]
    ) throws(DataSetError) -> [UInt8] {
        var reencoder = Reencoder(
            from: syntax, to: .explicitVRLittleEndian, position: start, replacements: replacements)
        return try bytes.withRawBytes { bytes throws(DataSetError) in
            try reencoder.consume(ByteWindow(bytes, offset: start, isLast: true))
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import BlobLog
import DICOM
import Platform

/// Reads the header of a stored instance: its elements without the large values, and without touching image bytes.
package enum StoredHeader {
    /// The header as a data set in memory; large values are marked as omitted.
    package static func dataSet(_ record: StoredRecord) throws(LogError) -> DataSet {
        let transferSyntax = TransferSyntax(uid: record.provenance[.transferSyntaxUID])
        var builder = DataSetBuilder(
            transferSyntax: transferSyntax, position: transferSyntax.isDeflated ? 0 : Int(record.dataSetOffset))
        try forEachWindow(record, transferSyntax) { window throws(DataSetError) in
            while true {
                switch try builder.step(in: window) {
                case .stepped: continue
                case .omitted(let position):
                    guard let end = largeValueEnd(record, position) else { throw .endsEarly(at: position) }
                    builder.skipFragments(to: end)
                case .needsMore, .ended: return
                }
            }
        }
        return builder.finished()
    }

    /// What the catalog wants to know, found as at receipt.
    static func scan(_ record: StoredRecord, _ transferSyntax: TransferSyntax) throws(LogError) -> DataSetScan {
        if transferSyntax.isDeflated { return try scanDeflated(record, transferSyntax) }
        var scan = CatalogMapping.scan(transferSyntax, position: Int(record.dataSetOffset))
        try forEachWindow(record, transferSyntax) { window throws(DataSetError) in
            try scan.consume(window)
            // Fragments are not read: the index knows where they end.
            if let start = scan.openLargeValueStart, let end = largeValueEnd(record, start) {
                scan.skipFragments(to: end)
            }
        }
        return scan
    }

    /// A Deflated data set is inflated anew: the part of it that the index keeps may end before the last wanted value.
    private static func scanDeflated(
        _ record: StoredRecord, _ transferSyntax: TransferSyntax
    ) throws(LogError) -> DataSetScan {
        let inflation = DeflatedScan(transferSyntax)
        func damaged(_ error: DataSetError) -> LogError { .damaged("blob \(record.header.blobID): \(error)") }
        try record.forEachPiece(
            in: record.dataSetOffset..<record.header.payloadLength,
            { bytes throws(LogError) in
                do throws(DataSetError) { try inflation.take(bytes) } catch { throw damaged(error) }
            }, onError: { $0 })
        do throws(DataSetError) { return try inflation.finish() } catch { throw damaged(error) }
    }

    private static func largeValueEnd(_ record: StoredRecord, _ start: Int) -> Int? {
        record.index.largeValues.first { $0.range.lowerBound == UInt64(start) }.map { Int($0.range.upperBound) }
    }

    private static func forEachWindow(
        _ record: StoredRecord, _ transferSyntax: TransferSyntax, _ body: (ByteWindow) throws(DataSetError) -> Void
    ) throws(LogError) {
        let length = Int(record.header.payloadLength)
        do {
            if transferSyntax.isDeflated {
                // A header cut off at its cap ends early; what was read up to there counts.
                try? record.index.inflatedHeader.withRawBytes { bytes throws(DataSetError) in
                    try body(ByteWindow(bytes, isLast: true))
                }
                return
            }
            var end = 0
            for piece in try record.readHeader() {
                end = piece.offset + piece.bytes.count
                try piece.bytes.withRawBytes { bytes throws(DataSetError) in
                    try body(ByteWindow(bytes, offset: piece.offset, isLast: end == length))
                }
            }
            if end < length {
                try body(ByteWindow(UnsafeRawBufferPointer(start: nil, count: 0), offset: length, isLast: true))
            }
        } catch let error as DataSetError {
            throw .damaged("header of blob \(record.header.blobID): \(error)")
        } catch {
            throw error as? LogError ?? .damaged("\(error)")
        }
    }
}

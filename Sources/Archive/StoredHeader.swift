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

    /// Writes the header as JSON or XML.
    /// - Parameter bulkDataPrefix: the address of bulk data; an `AttributePath` follows.
    package static func write(
        _ record: StoredRecord, bulkDataPrefix: String, to writer: inout some AttributeWriter
    ) throws(LogError) {
        let transferSyntax = TransferSyntax(uid: record.provenance[.transferSyntaxUID])
        var form = DataSetForm(
            transferSyntax: transferSyntax, position: transferSyntax.isDeflated ? 0 : Int(record.dataSetOffset),
            bulkDataPrefix: bulkDataPrefix,
            characterSetOverride: SpecificCharacterSet(override: record.provenance[.characterSetOverride]))
        writer.beginDocument()
        try forEachWindow(record, transferSyntax) { window throws(DataSetError) in
            while true {
                switch try form.step(in: window, &writer) {
                case .stepped: continue
                case .omitted(let position):
                    guard let end = largeValueEnd(record, position) else { throw .endsEarly(at: position) }
                    form.skipFragments(to: end)
                case .needsMore, .ended: return
                }
            }
        }
        writer.endDocument()
    }

    /// Where a value stands.
    package struct Place {
        package let vr: VR
        /// Where its element begins. Both in the payload; in the inflated data set of a Deflated one.
        package let elementOffset: Int
        package let range: Range<Int>
        /// Fragments, with their item tags, up to and without the delimiter.
        package let isEncapsulated: Bool
        package let isBigEndian: Bool
    }

    /// Finds the value of an attribute, large or small; nil: there is none, or it is a sequence.
    package static func locate(_ record: StoredRecord, _ path: AttributePath) throws(LogError) -> Place? {
        let transferSyntax = TransferSyntax(uid: record.provenance[.transferSyntaxUID])
        var cursor = ElementCursor(
            transferSyntax: transferSyntax, position: transferSyntax.isDeflated ? 0 : Int(record.dataSetOffset))
        var steps: [(Tag, Int)] = []
        var found: Place?
        try forEachWindow(record, transferSyntax) { window throws(DataSetError) in
            while found == nil {
                switch try cursor.next(in: window) {
                case .element(let header):
                    guard header.tag == path.tag, AttributePath(steps, header.tag) == path else { continue }
                    found = Place(
                        vr: header.vr, elementOffset: header.offset, range: header.valueRange, isEncapsulated: false,
                        isBigEndian: cursor.isBigEndian)
                case .encapsulated(let header):
                    guard let end = largeValueEnd(record, header.valueOffset) else {
                        throw .endsEarly(at: header.valueOffset)
                    }
                    if AttributePath(steps, header.tag) == path {
                        found = Place(
                            vr: header.vr, elementOffset: header.offset,
                            range: header.valueOffset..<max(header.valueOffset, end - 8),
                            isEncapsulated: true, isBigEndian: cursor.isBigEndian)
                    }
                    cursor.skipFragments(to: end)
                case .sequence(let header): steps.append((header.tag, -1))
                case .itemStart: steps[steps.count - 1].1 += 1
                case .sequenceEnd: steps.removeLast()
                case .itemEnd, .fragment, .encapsulatedEnd: continue
                case .needsMore, .end: return
                }
            }
        }
        return found
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

// SPDX-License-Identifier: Apache-2.0
import DICOM
import Platform

/// Scans a Deflated data set (PS3.5 section A.5) as its bytes come: at receipt, and again when the catalog is rebuilt.
package final class DeflatedScan {
    private static let headerMaximum = 1 << 20
    private static let inflatedMaximum = 4 << 30
    /// Inflated bytes for each received one beyond which it is a bomb; deflate itself ends at 1,032.
    private static let ratioMaximum = 1100

    package private(set) var scan: DataSetScan
    /// The beginning of the inflated form, at most 1 MiB.
    package private(set) var header: [UInt8] = []
    private let inflater = Inflater(maximumBytes: inflatedMaximum)
    /// Inflated bytes that the scan has not passed yet, and where they begin.
    private var window: [UInt8] = []
    private var windowOffset = 0
    private var receivedBytes = 0

    package init(_ transferSyntax: TransferSyntax) {
        scan = CatalogMapping.scan(transferSyntax, position: 0)
    }

    package func take(_ bytes: UnsafeRawBufferPointer) throws(DataSetError) {
        receivedBytes += bytes.count
        try inflater.inflate(bytes) { piece throws(DataSetError) in
            if header.count < Self.headerMaximum {
                header.append(contentsOf: piece.prefix(Self.headerMaximum - header.count))
            }
            window.append(contentsOf: piece)
            guard windowOffset + window.count <= max(1 << 20, receivedBytes * Self.ratioMaximum) else {
                throw .inflatesTooMuch
            }
            try advance(isLast: false)
        }
    }

    /// After the last byte.
    package func finish() throws(DataSetError) -> DataSetScan {
        guard inflater.isFinished else { throw .endsEarly(at: receivedBytes) }
        try advance(isLast: true)
        return scan
    }

    private func advance(isLast: Bool) throws(DataSetError) {
        try window.withRawBytes { bytes throws(DataSetError) in
            try scan.consume(ByteWindow(bytes, offset: windowOffset, isLast: isLast))
        }
        let passed = min(max(scan.position - windowOffset, 0), window.count)
        window.removeFirst(passed)
        windowOffset += passed
    }
}

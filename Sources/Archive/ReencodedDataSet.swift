// SPDX-License-Identifier: Apache-2.0
import BlobLog
import DICOM
import Platform

/// A stored data set in another uncompressed transfer syntax, made while its bytes are read.
package final class ReencodedDataSet {
    private static let pieceBytes = 1 << 20
    private let record: StoredRecord
    private var reencoder: Reencoder
    private let inflater: Inflater?
    /// Bytes of the data set that are not used up yet.
    private var window: [UInt8] = []
    private var windowOffset: Int
    private var output: [UInt8] = []

    /// - Parameter ignoringEncapsulation: the data set has no pixel data, so that an encapsulated syntax is but Explicit VR
    ///   Little Endian (PS3.5 section A.4).
    package init(_ record: StoredRecord, to target: TransferSyntax, ignoringEncapsulation: Bool = false) {
        let stored = TransferSyntax(uid: record.provenance[.transferSyntaxUID])
        let source = ignoringEncapsulation && stored.isEncapsulated ? .explicitVRLittleEndian : stored
        self.record = record
        inflater = source.isDeflated ? Inflater(maximumBytes: 4 << 30) : nil
        windowOffset = source.isDeflated ? 0 : Int(record.dataSetOffset)
        reencoder = Reencoder(from: source, to: target, position: windowOffset)
    }

    /// Hands out all of it, in pieces of about 1 MiB. The last piece is told, for messages that must mark it.
    package func forEachPiece(
        buffer: ReadBuffer = ReadBuffer(), _ body: (UnsafeRawBufferPointer, _ isLast: Bool) throws -> Void
    ) throws {
        var offset = record.dataSetOffset
        let end = record.header.payloadLength
        while offset < end {
            let next = min(end, (offset / UInt64(Self.pieceBytes) + 1) * UInt64(Self.pieceBytes))
            try take(record.read(offset..<next, into: buffer))
            offset = next
            // The last piece is held back until it is known to be the last.
            if output.count >= Self.pieceBytes { try flush(isLast: false, body) }
        }
        try consume(UnsafeRawBufferPointer(start: nil, count: 0), isLast: true)
        guard reencoder.isComplete else { throw DataSetError.endsEarly(at: windowOffset) }
        try flush(isLast: true, body)
    }

    private func flush(isLast: Bool, _ body: (UnsafeRawBufferPointer, Bool) throws -> Void) throws {
        try output.withUnsafeBytes { try body($0, isLast) }
        output.removeAll(keepingCapacity: true)
    }

    private func take(_ bytes: UnsafeRawBufferPointer) throws(DataSetError) {
        guard let inflater else { return try consume(bytes, isLast: false) }
        try inflater.inflate(bytes) { piece throws(DataSetError) in try consume(piece, isLast: false) }
    }

    private func consume(_ bytes: UnsafeRawBufferPointer, isLast: Bool) throws(DataSetError) {
        window.append(contentsOf: bytes)
        output += try window.withRawBytes { bytes throws(DataSetError) in
            try reencoder.consume(ByteWindow(bytes, offset: windowOffset, isLast: isLast))
        }
        let used = min(max(0, reencoder.position - windowOffset), window.count)
        window.removeFirst(used)
        windowOffset += used
    }
}

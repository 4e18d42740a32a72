// SPDX-License-Identifier: Apache-2.0
import Archive
import BlobLog
import DICOM
import Platform

/// A stored instance in another transfer syntax, on request; what is stored stays as it is. Memory is one frame.
package struct InstanceTranscoder {
    private let transcoder: Transcoder
    private let record: StoredRecord
    private let source: TransferSyntax
    private let target: TransferSyntax

    package init(_ transcoder: Transcoder, _ record: StoredRecord, to target: TransferSyntax) {
        self.transcoder = transcoder
        self.record = record
        self.target = target
        source = TransferSyntax(uid: record.provenance[.transferSyntaxUID])
    }

    /// Hands out the data set, piece by piece; the last piece is told.
    package func forEachPiece(_ body: (UnsafeRawBufferPointer, _ isLast: Bool) throws -> Void) throws {
        if source.isUncompressed, target.isUncompressed, !target.isDeflated {
            return try ReencodedDataSet(record, to: target).forEachPiece(body)
        }
        guard transcoder.canMake(target, from: source) else {
            throw ImagingError.unsupported("\(source.name) cannot be made \(target.name)")
        }
        let image: StoredImage
        do { image = try StoredImage(record) } catch StoredImage.Failure.noImage {
            return try ReencodedDataSet(record, to: .explicitVRLittleEndian, ignoringEncapsulation: true).forEachPiece(
                body)
        }
        try write(image, body)
    }

    private func write(_ image: StoredImage, _ body: (UnsafeRawBufferPointer, Bool) throws -> Void) throws {
        try image.checkFrames()
        let first = try transcoded(image, 1, readsAhead: false)
        try send(try image.renderingHeader(replacing: replacements(image, first.image, first.bytes.count)), body)
        var head = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
        if target.isEncapsulated {
            // An empty Basic Offset Table (PS3.5 section A.4): where the frames will begin is not known yet.
            head.appendHeader(.pixelData, .ob, length: .max)
            Self.appendItem(length: 0, to: &head)
        } else {
            let length = UInt64(first.bytes.count) * UInt64(image.description.numberOfFrames)
            guard length < UInt64(UInt32.max) - 1 else {
                throw ImagingError.tooLarge("its native pixel data is longer than a data set can hold (4 GiB)")
            }
            let vr: VR = first.image.bitsAllocated > 8 ? .ow : .ob
            head.appendHeader(.pixelData, vr, length: UInt32(length + length % 2))
        }
        try send(head.bytes, body)
        try writeFrames(image, first.bytes, body)
        try image.trailer().withUnsafeBytes { try body($0, true) }
    }

    private func transcoded(_ image: StoredImage, _ number: Int, readsAhead: Bool) throws -> (
        bytes: [UInt8], image: ImageDescription
    ) {
        try image.withFrame(number, readsAhead: readsAhead) {
            try transcoder.transcode($0, image.description, from: source, to: target)
        }
    }

    private func writeFrames(
        _ image: StoredImage, _ first: [UInt8], _ body: (UnsafeRawBufferPointer, Bool) throws -> Void
    ) throws {
        let count = image.description.numberOfFrames
        for number in 1...count {
            let bytes = try number == 1 ? first : transcoded(image, number, readsAhead: true).bytes
            if target.isEncapsulated {
                var item = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
                Self.appendItem(length: UInt32(bytes.count + bytes.count % 2), to: &item)
                try send(item.bytes, body)
                try send(bytes, body)
                if bytes.count % 2 == 1 { try send([0], body) }
            } else {
                guard bytes.count == first.count else { throw ImagingError.malformed("its frames differ in size") }
                try send(bytes, body)
            }
        }
        if target.isEncapsulated {
            var end = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
            end.endSequence()
            try send(end.bytes, body)
        } else if first.count * count % 2 == 1 {
            try send([0], body)
        }
    }

    /// An item's head (PS3.5 section 7.5), of known length.
    private static func appendItem(length: UInt32, to writer: inout DataSetWriter) {
        var bytes: [UInt8] = [0xFE, 0xFF, 0x00, 0xE0]
        bytes.appendLittleEndian(length)
        bytes.withRawBytes { writer.appendRaw($0) }
    }

    private func send(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer, Bool) throws -> Void) throws {
        guard !bytes.isEmpty else { return }
        try bytes.withUnsafeBytes { try body($0, false) }
    }

    /// What the header must say of the pixels as they are now (PS3.5 section 8.2, PS3.3 section C.7.6.1.1.5).
    private func replacements(_ image: StoredImage, _ now: ImageDescription, _ encodedBytes: Int) -> [DataSet.Element] {
        func short(_ tag: Tag, _ value: UInt16) -> DataSet.Element {
            var bytes: [UInt8] = []
            bytes.appendLittleEndian(value)
            return DataSet.Element(tag: tag, vr: .us, value: bytes)
        }
        var elements = [
            DataSet.Element(
                tag: .photometricInterpretation, vr: .cs, value: Array(now.photometricInterpretation.utf8)),
            short(.samplesPerPixel, now.samplesPerPixel), short(.bitsAllocated, now.bitsAllocated),
            short(.bitsStored, now.bitsStored), short(.highBit, now.highBit),
            short(.pixelRepresentation, now.pixelRepresentation),
            // They speak of fragments that are no longer there.
            DataSet.Element(tag: .extendedOffsetTable, vr: .ov, value: [], isOmitted: true),
            DataSet.Element(tag: .extendedOffsetTableLengths, vr: .ov, value: [], isOmitted: true),
        ]
        if now.samplesPerPixel > 1 { elements.append(short(.planarConfiguration, now.planarConfiguration)) }
        return elements + (target.isLossy ? lossyElements(image, encodedBytes) : [])
    }

    private func lossyElements(_ image: StoredImage, _ encodedBytes: Int) -> [DataSet.Element] {
        func appended(_ tag: Tag, _ vr: VR, _ value: String) -> DataSet.Element {
            let old = image.header[tag]?.plainValues.filter { !$0.isEmpty } ?? []
            return DataSet.Element(tag: tag, vr: vr, value: Array((old + [value]).joined(separator: "\\").utf8))
        }
        let ratio = Double(image.description.frameBits / 8) / Double(max(1, encodedBytes))
        return [
            DataSet.Element(tag: Tag(0x0028_2110), vr: .cs, value: Array("01".utf8)),
            appended(Tag(0x0028_2112), .ds, String(Double(Int(ratio * 100)) / 100)),
            appended(Tag(0x0028_2114), .cs, "ISO_10918_1"),
        ]
    }
}

extension TransferSyntax {
    /// Of those that frames are made in here.
    fileprivate var isLossy: Bool { uid == "1.2.840.10008.1.2.4.50" }
}

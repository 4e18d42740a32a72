// SPDX-License-Identifier: Apache-2.0
import DICOM
import DIMSE
import Platform
import Seeded

/// A study that no patient ever had. Everything before the pixel data is written once; for each instance only its UID
/// and its number are put in, so that the load generator costs little beside what it measures.
struct SyntheticStudy {
    /// An Instance Number with its padding, wide enough for any.
    private static let numberWidth = 8

    struct Keys {
        var patientID = ""
        var patientName = ""
        var studyDate = ""
        var accessionNumber = ""
        var studyInstanceUID = ""
    }

    private let shape: ImageShape
    private let identity: UInt64
    private let index: Int
    private let region: Region?
    private let sopClassUID: String
    /// What a query for this study would ask.
    private(set) var keys = Keys()
    private var head: [UInt8] = []
    private var uidPosition = 0
    private var numberPosition = 0

    init(_ options: SyntheticOptions, index: Int) {
        shape = options.shape
        identity = options.identity
        let index = options.first + index
        self.index = index
        region = options.isRegional ? Region(study: index, identity: options.identity) : nil
        var random = SplitMix(seed: identity, [index])
        let modality = options.isMixed ? Modality.mixed(&random) : options.modality
        sopClassUID = shape.frames > 1 ? modality.multiFrameClassUID : modality.sopClassUID
        var writer = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
        appendStudy(&writer, modality, &random)
        appendImage(&writer)
        head = writer.bytes
    }

    var transferSyntaxUID: String {
        (shape.isEncapsulated ? TransferSyntax.rleLossless : .explicitVRLittleEndian).uid
    }

    /// Bytes of a whole data set.
    var dataSetBytes: Int {
        head.count + shape.pixelBytes + (shape.isEncapsulated ? shape.frames * 8 + 8 : 0)
    }

    func instance(_ number: Int) -> StoreSender.Instance {
        var random = SplitMix(seed: identity, [index, number])
        return StoreSender.Instance(
            sopClassUID: sopClassUID, sopInstanceUID: region?.sopInstanceUID(number) ?? random.uid(),
            transferSyntaxUID: transferSyntaxUID)
    }

    /// Hands out the data set of an instance, piece by piece.
    mutating func forEachPiece<Failure: Error>(
        of instance: StoreSender.Instance, number: Int, pixels: PixelSource,
        _ body: (UnsafeRawBufferPointer, _ isLast: Bool) throws(Failure) -> Void
    ) throws(Failure) {
        patch(uidPosition, instance.sopInstanceUID, width: uidWidth)
        patch(numberPosition, String(number + 1), width: Self.numberWidth)
        try head.withRawBytes { bytes throws(Failure) in try body(bytes, false) }
        let salt = index &* 31 &+ number
        if shape.isEncapsulated { return try forEachFragmentPiece(salt, pixels, body) }
        var remaining = shape.pixelBytes
        try pixels.forEachPiece(remaining, from: 0, of: salt) { bytes throws(Failure) in
            remaining -= bytes.count
            try body(bytes, remaining == 0)
        }
    }

    /// Of an instance's UID.
    private var uidWidth: Int { region == nil ? 44 : 50 }

    private mutating func patch(_ position: Int, _ text: String, width: Int) {
        let padded = text + String(repeating: " ", count: width - text.utf8.count)
        head.replaceSubrange(position..<position + width, with: padded.utf8)
    }

    /// One item for each frame, and the end of the sequence of items.
    private func forEachFragmentPiece<Failure: Error>(
        _ salt: Int, _ pixels: PixelSource,
        _ body: (UnsafeRawBufferPointer, _ isLast: Bool) throws(Failure) -> Void
    ) throws(Failure) {
        let start = Self.itemHead(0xE000, length: shape.encodedFrameBytes) + rleHeader
        for frame in 0..<shape.frames {
            try start.withRawBytes { bytes throws(Failure) in try body(bytes, false) }
            try pixels.forEachPiece(2 * shape.segmentBytes, from: frame * 2 * shape.segmentBytes, of: salt) {
                bytes throws(Failure) in try body(bytes, false)
            }
        }
        try Self.itemHead(0xE0DD, length: 0).withRawBytes { bytes throws(Failure) in try body(bytes, true) }
    }

    /// Two segments and where they begin (PS3.5 section G.5).
    private var rleHeader: [UInt8] {
        var bytes: [UInt8] = []
        for number in [2, 64, 64 + shape.segmentBytes] { bytes.appendLittleEndian(UInt32(number)) }
        return bytes + [UInt8](repeating: 0, count: 64 - bytes.count)
    }

    private static func itemHead(_ element: UInt16, length: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(UInt16(0xFFFE))
        bytes.appendLittleEndian(element)
        bytes.appendLittleEndian(UInt32(length))
        return bytes
    }
}

// MARK: The data set before the pixels

extension SyntheticStudy {
    private mutating func appendStudy(_ writer: inout DataSetWriter, _ modality: Modality, _ random: inout SplitMix) {
        let patient = region?.patient ?? Patient(&random)
        let date = region?.date ?? Patient.date(in: 2020..<2026, &random)
        let time =
            region?.time ?? "\(Patient.twoDigits(8 + random.below(12)))\(Patient.twoDigits(random.below(60)))00"
        let number = region == nil ? 10_000_000 + random.below(90_000_000) : index
        keys = Keys(
            patientID: patient.id, patientName: patient.name, studyDate: date,
            accessionNumber: region?.accessionNumber ?? "A\(number)",
            studyInstanceUID: region?.studyInstanceUID ?? random.uid())
        writer.append(.specificCharacterSet, .cs, text: "ISO_IR 192")
        writer.append(Tag(0x0008_0008), .cs, text: "ORIGINAL\\PRIMARY")
        writer.append(.sopClassUID, .ui, text: sopClassUID)
        uidPosition = appendPlaceholder(&writer, .sopInstanceUID, .ui, width: uidWidth)
        writer.append(.studyDate, .da, text: date)
        writer.append(.seriesDate, .da, text: date)
        writer.append(.studyTime, .tm, text: time)
        writer.append(.seriesTime, .tm, text: time)
        writer.append(.accessionNumber, .sh, text: keys.accessionNumber)
        writer.append(.modality, .cs, text: modality.code)
        writer.append(Tag(0x0008_0070), .lo, text: "Snimok load generator")
        writer.append(.institutionName, .lo, text: "Городская больница № \(1 + random.below(60))")
        writer.append(.referringPhysicianName, .pn, text: region?.physician ?? Patient.physician(&random))
        writer.append(.stationName, .sh, text: "\(modality.code)\(1 + random.below(4))")
        writer.append(.studyDescription, .lo, text: random.pick(modality.descriptions))
        writer.append(.seriesDescription, .lo, text: "Серия 1")
        writer.append(.patientName, .pn, text: patient.name)
        writer.append(.patientID, .lo, text: patient.id)
        writer.append(.patientBirthDate, .da, text: patient.birthDate)
        writer.append(.patientSex, .cs, text: patient.sex)
        writer.append(.bodyPartExamined, .cs, text: random.pick(modality.bodyParts))
        writer.append(.studyInstanceUID, .ui, text: keys.studyInstanceUID)
        writer.append(.seriesInstanceUID, .ui, text: region?.seriesInstanceUID ?? random.uid())
        writer.append(.studyID, .sh, text: "\(number)")
        writer.append(.seriesNumber, .is, text: "1")
        numberPosition = appendPlaceholder(&writer, .instanceNumber, .is, width: Self.numberWidth)
    }

    private func appendImage(_ writer: inout DataSetWriter) {
        let bits: UInt16 = shape.isEncapsulated ? 16 : 12
        writer.append(Tag(0x0028_0002), unsignedShort: 1)
        writer.append(Tag(0x0028_0004), .cs, text: "MONOCHROME2")
        if shape.frames > 1 { writer.append(.numberOfFrames, .is, text: String(shape.frames)) }
        writer.append(.rows, unsignedShort: UInt16(shape.rows))
        writer.append(.columns, unsignedShort: UInt16(shape.columns))
        writer.append(Tag(0x0028_0100), unsignedShort: 16)
        writer.append(Tag(0x0028_0101), unsignedShort: bits)
        writer.append(Tag(0x0028_0102), unsignedShort: bits - 1)
        writer.append(Tag(0x0028_0103), unsignedShort: 0)
        guard shape.isEncapsulated else {
            return writer.appendHeader(.pixelData, .ow, length: UInt32(shape.pixelBytes))
        }
        appendOffsetTable(&writer)
        writer.appendHeader(.pixelData, .ob, length: .max)
        // With an Extended Offset Table the basic one is empty (PS3.5 section A.4).
        Self.itemHead(0xE000, length: 0).withUnsafeBytes { writer.appendRaw($0) }
    }

    private func appendOffsetTable(_ writer: inout DataSetWriter) {
        var offsets: [UInt8] = []
        var lengths: [UInt8] = []
        for frame in 0..<shape.frames {
            offsets.appendLittleEndian(UInt64(frame * (shape.encodedFrameBytes + 8)))
            lengths.appendLittleEndian(UInt64(shape.encodedFrameBytes))
        }
        writer.append(.extendedOffsetTable, .ov, offsets)
        writer.append(.extendedOffsetTableLengths, .ov, lengths)
    }

    /// An element whose value each instance writes anew; returns where.
    private func appendPlaceholder(_ writer: inout DataSetWriter, _ tag: Tag, _ vr: VR, width: Int) -> Int {
        writer.append(tag, vr, text: String(repeating: " ", count: width))
        return writer.bytes.count - width
    }
}

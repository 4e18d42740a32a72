// SPDX-License-Identifier: Apache-2.0
import DICOM
import Platform

/// Data sets to begin from, and the transfer syntaxes that a choice stands for.
enum SampleDataSets {
    static let syntaxes: [TransferSyntax] = [
        .explicitVRLittleEndian, .implicitVRLittleEndian, TransferSyntax(uid: "1.2.840.10008.1.2.2"),
        TransferSyntax(uid: "1.2.840.10008.1.2.4.50"),
    ]

    /// A small image with all that the archive looks at: names in two scripts, a sequence within a sequence, private elements.
    static func image(_ syntax: TransferSyntax, encapsulated: Bool = false) -> [UInt8] {
        var writer = DataSetWriter(transferSyntax: syntax)
        writer.append(.specificCharacterSet, .cs, text: "ISO_IR 192")
        writer.append(.sopClassUID, .ui, text: "1.2.840.10008.5.1.4.1.1.2")
        writer.append(.sopInstanceUID, .ui, text: "1.2.3.4")
        writer.append(.studyDate, .da, text: "20260115")
        writer.append(.modality, .cs, text: "CT")
        writer.beginSequence(Tag(0x0008_1140))
        writer.beginItem()
        writer.append(Tag(0x0008_1155), .ui, text: "1.2.3.5")
        writer.beginSequence(Tag(0x0040_A170))
        writer.beginItem()
        writer.append(Tag(0x0008_0100), .sh, text: "121320")
        writer.endItem()
        writer.endSequence()
        writer.endItem()
        writer.endSequence()
        writer.append(Tag(0x0009_0010), .lo, text: "SNIMOK")
        writer.append(Tag(0x0009_1001), .un, [1, 2, 3, 4])
        writer.append(.patientName, .pn, text: "Ivanov^Ivan=Иванов^Иван")
        writer.append(.patientID, .lo, text: "P1\\P2")
        writer.append(Tag(0x0018_0050), .ds, text: "1.50")
        writer.append(.studyInstanceUID, .ui, text: "1.2.3")
        writer.append(.seriesInstanceUID, .ui, text: "1.2.3.1")
        writer.append(.numberOfFrames, .is, text: "2")
        writer.append(.rows, unsignedShort: 2)
        writer.append(.columns, unsignedShort: 2)
        writer.append(.bitsAllocated, unsignedShort: 16)
        writer.append(Tag(0x0018_9087), .fd, [0, 0, 0, 0, 0, 0, 0xF0, 0x3F])
        writer.beginSequence(.requestAttributesSequence)
        writer.beginItem()
        writer.append(.scheduledProcedureStepID, .sh, text: "S1")
        writer.endItem()
        writer.endSequence()
        guard encapsulated else {
            writer.append(.pixelData, .ow, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
            return writer.bytes
        }
        writer.appendHeader(.pixelData, .ob, length: .max)
        return writer.bytes + fragment([0, 0, 0, 0, 12, 0, 0, 0]) + fragment([0xFF, 0xD8, 0xFF, 0xD9])
            + fragment([0xFF, 0xD8, 0xFF, 0xD9]) + [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]
    }

    private static func fragment(_ bytes: [UInt8]) -> [UInt8] {
        [0xFE, 0xFF, 0x00, 0xE0, UInt8(bytes.count), 0, 0, 0] + bytes
    }

    /// What a station asks for.
    static func identifier(_ level: String, _ syntax: TransferSyntax = .implicitVRLittleEndian) -> [UInt8] {
        var writer = DataSetWriter(transferSyntax: syntax)
        writer.append(.specificCharacterSet, .cs, text: "ISO_IR 192")
        writer.append(.studyDate, .da, text: "20250101-20261231")
        writer.append(.studyTime, .tm, text: "-1200")
        writer.append(.queryRetrieveLevel, .cs, text: level)
        writer.append(.modalitiesInStudy, .cs, text: "CT\\MR")
        writer.append(.patientName, .pn, text: "Ива*^?van")
        writer.append(.patientID, .lo, text: "P1")
        writer.append(.studyInstanceUID, .ui, text: "1.2.3\\1.2.4")
        writer.append(.seriesInstanceUID, .ui, text: "1.2.3.1")
        writer.append(.sopInstanceUID, .ui, text: "")
        writer.beginSequence(.requestAttributesSequence)
        writer.beginItem()
        writer.append(.scheduledProcedureStepID, .sh, text: "S*")
        writer.endItem()
        writer.endSequence()
        return writer.bytes
    }

    /// A choice of the syntax, others as they come, and the image.
    static func choices(_ extra: [UInt8]) -> [[UInt8]] {
        var seeds: [[UInt8]] = []
        for (number, syntax) in syntaxes.enumerated() {
            seeds.append([UInt8(number)] + extra + image(syntax))
            if syntax.isEncapsulated { seeds.append([UInt8(number)] + extra + image(syntax, encapsulated: true)) }
        }
        return seeds
    }

    /// The same of a file's data set.
    static func choices(_ extra: [UInt8], file: [UInt8]) -> [[UInt8]] {
        let found = file.withUnsafeBytes { FileMeta(head: $0) }
        guard let meta = found else { return [[0] + extra + file, [1] + extra + file] }
        let syntax = TransferSyntax(uid: meta.transferSyntaxUID)
        let number = syntaxes.firstIndex(of: syntax) ?? (syntax.isEncapsulated ? 3 : 0)
        return [[UInt8(number)] + extra + file[meta.dataSetOffset...]]
    }
}

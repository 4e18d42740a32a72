// SPDX-License-Identifier: Apache-2.0
import Catalog
import DICOM
import Platform

/// Which attribute stands in which column of the catalog.
package enum CatalogMapping {
    package static let columns: [(tag: Tag, column: CatalogColumn)] = [
        (.patientID, .patientID), (.issuerOfPatientID, .issuerOfPatientID), (.patientName, .patientName),
        (.patientBirthDate, .patientBirthDate), (.patientSex, .patientSex),
        (.studyInstanceUID, .studyInstanceUID), (.studyDate, .studyDate), (.studyTime, .studyTime),
        (.accessionNumber, .accessionNumber), (.studyID, .studyID), (.studyDescription, .studyDescription),
        (.referringPhysicianName, .referringPhysicianName),
        (.seriesInstanceUID, .seriesInstanceUID), (.modality, .modality), (.seriesNumber, .seriesNumber),
        (.seriesDescription, .seriesDescription), (.seriesDate, .seriesDate), (.seriesTime, .seriesTime),
        (.bodyPartExamined, .bodyPartExamined), (.laterality, .laterality), (.protocolName, .protocolName),
        (.stationName, .stationName), (.institutionName, .institutionName),
        (.performingPhysicianName, .performingPhysicianName),
        (.performedProcedureStepStartDate, .performedProcedureStepStartDate),
        (.performedProcedureStepStartTime, .performedProcedureStepStartTime),
        (.sopInstanceUID, .sopInstanceUID), (.sopClassUID, .sopClassUID), (.instanceNumber, .instanceNumber),
        (.contentDate, .contentDate), (.contentTime, .contentTime), (.acquisitionDate, .acquisitionDate),
        (.acquisitionTime, .acquisitionTime), (.numberOfFrames, .numberOfFrames), (.rows, .rows), (.columns, .columns),
        (.bitsAllocated, .bitsAllocated),
    ]

    package static let columnOfTag = Dictionary(uniqueKeysWithValues: columns.map { ($0.tag, $0.column) })

    static let wantedTags = WantedTags(columns.map(\.tag) + [.specificCharacterSet])

    /// Each column with the place of its attribute in what a scan keeps, and the attribute's VR: looked up once, not for each
    /// instance.
    private static let places = columns.map { tag, column in
        (place: wantedTags.place(of: tag)!, column: column, vr: DataDictionary.vr(of: tag)!)
    }
    private static let characterSetPlace = wantedTags.place(of: .specificCharacterSet)!

    static let wantedRequestTags: Set<Tag> = [
        .requestedProcedureID, .scheduledProcedureStepID, .accessionNumber, .requestedProcedureDescription,
        .scheduledProcedureStepDescription,
    ]

    /// A scan for what the catalog wants, the same at receipt and at a rebuild.
    static func scan(_ transferSyntax: TransferSyntax, position: Int) -> DataSetScan {
        DataSetScan(
            transferSyntax: transferSyntax, position: position, wanted: wantedTags,
            wantedSequence: .requestAttributesSequence, wantedInItems: wantedRequestTags)
    }

    /// The values of one instance as the catalog wants them, from what the scan kept.
    struct Values {
        var texts = [String?](repeating: nil, count: CatalogColumn.allCases.count)
        var folded = [String?](repeating: nil, count: CatalogColumn.allCases.count)
        var requests: [CatalogRequest] = []

        init(_ scan: KeptValues, items: [[Tag: [UInt8]]], isBigEndian: Bool, characterSetOverride: String) {
            let characterSet =
                SpecificCharacterSet(override: characterSetOverride)
                ?? SpecificCharacterSet(
                    definedTerms: scan.withValue(place: CatalogMapping.characterSetPlace) {
                        DataSet.Element(tag: .specificCharacterSet, vr: .cs, value: Array($0)).plainValues
                    } ?? [])
            for (place, column, vr) in CatalogMapping.places {
                let text = scan.withValue(place: place) { Self.text($0, vr, characterSet, isBigEndian) } ?? ""
                guard !text.isEmpty else { continue }
                texts[column.rawValue] = text
                if column.kind == .personName { folded[column.rawValue] = SearchFolding.fold(text) }
            }
            requests = items.prefix(64).map { item in
                func value(_ tag: Tag) -> String {
                    let vr = DataDictionary.vr(of: tag)!
                    return item[tag]?.withUnsafeBytes { Self.text($0, vr, characterSet, isBigEndian) } ?? ""
                }
                return CatalogRequest(
                    requestedProcedureID: value(.requestedProcedureID),
                    scheduledProcedureStepID: value(.scheduledProcedureStepID),
                    accessionNumber: value(.accessionNumber),
                    requestedProcedureDescription: value(.requestedProcedureDescription),
                    scheduledProcedureStepDescription: value(.scheduledProcedureStepDescription))
            }
        }

        subscript(column: CatalogColumn) -> String { texts[column.rawValue] ?? "" }

        private static func text(
            _ bytes: UnsafeRawBufferPointer, _ vr: VR, _ characterSet: SpecificCharacterSet, _ isBigEndian: Bool
        ) -> String {
            if vr == .us {
                guard bytes.count >= 2 else { return "" }
                return String(isBigEndian ? bytes.bigEndian(at: 0, as: UInt16.self) : bytes.littleEndian(at: 0))
            }
            if vr.isAffectedByCharacterSet { return characterSet.decodeFirstValue(bytes, vr: vr) ?? "" }
            // Two UIDs where one belongs are none.
            if vr == .ui, bytes.contains(UInt8(ascii: "\\")) {
                return DataSet.Element(tag: .sopInstanceUID, vr: vr, value: Array(bytes)).plainValues
                    .joined(separator: "\\")
            }
            return PlainText.first(bytes)
        }
    }
}

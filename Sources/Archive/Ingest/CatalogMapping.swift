// SPDX-License-Identifier: Apache-2.0
import Catalog
import DICOM

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

    static let wantedTags = Set(columns.map(\.tag) + [.specificCharacterSet])

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

        init(_ scan: [Tag: [UInt8]], items: [[Tag: [UInt8]]], isBigEndian: Bool, characterSetOverride: String) {
            let characterSet =
                SpecificCharacterSet(override: characterSetOverride)
                ?? SpecificCharacterSet(
                    definedTerms: scan[.specificCharacterSet].map {
                        DataSet.Element(tag: .specificCharacterSet, vr: .cs, value: $0).plainValues
                    } ?? [])
            for (tag, column) in CatalogMapping.columns {
                guard let bytes = scan[tag], !bytes.isEmpty else { continue }
                let text = Self.text(bytes, tag, characterSet, isBigEndian)
                guard !text.isEmpty else { continue }
                texts[column.rawValue] = text
                if column.kind == .personName { folded[column.rawValue] = SearchFolding.fold(text) }
            }
            requests = items.prefix(64).map { item in
                func value(_ tag: Tag) -> String {
                    item[tag].map { Self.text($0, tag, characterSet, isBigEndian) } ?? ""
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
            _ bytes: [UInt8], _ tag: Tag, _ characterSet: SpecificCharacterSet, _ isBigEndian: Bool
        ) -> String {
            let vr = DataDictionary.vr(of: tag) ?? .lo
            if vr == .us {
                guard bytes.count >= 2 else { return "" }
                return String(isBigEndian ? Int(bytes[0]) << 8 | Int(bytes[1]) : Int(bytes[1]) << 8 | Int(bytes[0]))
            }
            // Two UIDs where one belongs are none.
            if vr == .ui {
                return DataSet.Element(tag: tag, vr: vr, value: bytes).plainValues.joined(separator: "\\")
            }
            guard vr.isAffectedByCharacterSet else {
                return DataSet.Element(tag: tag, vr: vr, value: bytes).plainValue
            }
            return bytes.withUnsafeBytes { characterSet.decodeValues($0, vr: vr) }.first ?? ""
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// The levels of the catalog, from the outermost.
package enum CatalogLevel: Int, Comparable, Sendable {
    case patient, study, series, instance

    package static func < (left: CatalogLevel, right: CatalogLevel) -> Bool { left.rawValue < right.rawValue }

    var table: String { ["patient", "study", "series", "instance"][rawValue] }
}

/// Every attribute that queries match on; what else they ask for comes from the stored headers.
package enum CatalogColumn: Int, CaseIterable, Sendable {
    case patientID, issuerOfPatientID, patientName, patientBirthDate, patientSex
    case studyInstanceUID, studyDate, studyTime, accessionNumber, studyID, studyDescription, referringPhysicianName
    case seriesInstanceUID, modality, seriesNumber, seriesDescription, seriesDate, seriesTime, bodyPartExamined
    case laterality, protocolName, stationName, institutionName, performingPhysicianName
    case performedProcedureStepStartDate, performedProcedureStepStartTime
    case sopInstanceUID, sopClassUID, instanceNumber, contentDate, contentTime, acquisitionDate, acquisitionTime
    case numberOfFrames, rows, columns, bitsAllocated

    /// How values compare.
    package enum Kind: Sendable { case text, personName, date, time }

    package var level: CatalogLevel {
        switch self {
        case .patientID, .issuerOfPatientID, .patientName, .patientBirthDate, .patientSex: .patient
        case .studyInstanceUID, .studyDate, .studyTime, .accessionNumber, .studyID, .studyDescription,
            .referringPhysicianName:
            .study
        case .sopInstanceUID, .sopClassUID, .instanceNumber, .contentDate, .contentTime, .acquisitionDate,
            .acquisitionTime, .numberOfFrames, .rows, .columns, .bitsAllocated:
            .instance
        default: .series
        }
    }

    package var kind: Kind {
        switch self {
        case .patientName, .referringPhysicianName, .performingPhysicianName: .personName
        case .patientBirthDate, .studyDate, .seriesDate, .performedProcedureStepStartDate, .contentDate,
            .acquisitionDate:
            .date
        case .studyTime, .seriesTime, .performedProcedureStepStartTime, .contentTime, .acquisitionTime: .time
        default: .text
        }
    }

    /// The column's name: the case's own, as `patient_birth_date`; unique keys are `uid`.
    var sqlName: String { Self.sqlNames[rawValue] }

    /// The column that holds the folded form of a name.
    var foldedName: String { sqlName + "_folded" }

    private static let sqlNames: [String] = allCases.map { column in
        switch column {
        case .studyInstanceUID, .seriesInstanceUID, .sopInstanceUID: return "uid"
        case .sopClassUID: return "sop_class_uid"
        case .patientID: return "patient_id"
        case .issuerOfPatientID: return "issuer"
        case .studyID: return "study_id"
        default:
            return "\(column)".reduce(into: "") { name, letter in
                name += letter.isUppercase ? "_" + letter.lowercased() : String(letter)
            }
        }
    }

    static func columns(of level: CatalogLevel) -> [CatalogColumn] { byLevel[level.rawValue] }

    private static let byLevel = (0..<4).map { level in allCases.filter { $0.level.rawValue == level } }
}

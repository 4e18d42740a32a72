// SPDX-License-Identifier: Apache-2.0

/// Every attribute that queries match on and that rows give back without a look into the stored header.
///
/// The raw value is an index into arrays of values in memory; it is never written to disk.
package enum CatalogColumn: Int, CaseIterable, Sendable {
    case patientID, issuerOfPatientID, patientName, patientBirthDate, patientSex

    case studyInstanceUID, studyDate, studyTime, accessionNumber, studyID, studyDescription
    case referringPhysicianName

    case seriesInstanceUID, modality, seriesNumber, seriesDescription, seriesDate, seriesTime, bodyPartExamined
    case laterality, protocolName, stationName, institutionName, performingPhysicianName
    case performedProcedureStepStartDate, performedProcedureStepStartTime

    case sopInstanceUID, sopClassUID, instanceNumber, contentDate, contentTime, acquisitionDate, acquisitionTime
    case numberOfFrames, rows, columns

    /// What a column's values are, which decides how they match.
    package enum Kind: Sendable {
        case text, personName, date, time, uid, number
    }

    package var level: CatalogLevel { Self.definitions[rawValue].level }
    package var kind: Kind { Self.definitions[rawValue].kind }
    package var sqlName: String { Self.definitions[rawValue].name }

    package static let count = allCases.count

    private typealias Definition = (level: CatalogLevel, kind: Kind, name: String)

    /// In the order of the cases.
    private static let definitions: [Definition] = patient + study + series + instance

    private static let patient: [Definition] = [
        (.patient, .text, "patient_id"),
        (.patient, .text, "issuer_of_patient_id"),
        (.patient, .personName, "patient_name"),
        (.patient, .date, "patient_birth_date"),
        (.patient, .text, "patient_sex"),
    ]

    private static let study: [Definition] = [
        (.study, .uid, "study_instance_uid"),
        (.study, .date, "study_date"),
        (.study, .time, "study_time"),
        (.study, .text, "accession_number"),
        (.study, .text, "study_id"),
        (.study, .text, "study_description"),
        (.study, .personName, "referring_physician_name"),
    ]

    private static let series: [Definition] = [
        (.series, .uid, "series_instance_uid"),
        (.series, .text, "modality"),
        (.series, .number, "series_number"),
        (.series, .text, "series_description"),
        (.series, .date, "series_date"),
        (.series, .time, "series_time"),
        (.series, .text, "body_part_examined"),
        (.series, .text, "laterality"),
        (.series, .text, "protocol_name"),
        (.series, .text, "station_name"),
        (.series, .text, "institution_name"),
        (.series, .personName, "performing_physician_name"),
        (.series, .date, "performed_procedure_step_start_date"),
        (.series, .time, "performed_procedure_step_start_time"),
    ]

    private static let instance: [Definition] = [
        (.instance, .uid, "sop_instance_uid"),
        (.instance, .uid, "sop_class_uid"),
        (.instance, .number, "instance_number"),
        (.instance, .date, "content_date"),
        (.instance, .time, "content_time"),
        (.instance, .date, "acquisition_date"),
        (.instance, .time, "acquisition_time"),
        (.instance, .number, "number_of_frames"),
        (.instance, .number, "pixel_rows"),
        (.instance, .number, "pixel_columns"),
    ]
}

extension CatalogColumn {
    /// The columns stored in a level's table, in order.
    static let ofLevel: [[CatalogColumn]] = CatalogLevel.allCases.map { level in
        allCases.filter { $0.level == level }
    }

    /// The column's name within a query.
    var qualified: String { "\(level.alias).\(sqlName)" }

    /// Whether a condition on this column alone is cheap: an index of `Schema` begins with it.
    var isIndexed: Bool {
        switch self {
        case .patientID, .patientName, .patientBirthDate, .studyInstanceUID, .studyDate, .accessionNumber, .studyID,
            .referringPhysicianName, .seriesInstanceUID, .modality, .performingPhysicianName, .sopInstanceUID:
            true
        default: false
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// One item of the Request Attributes Sequence (0040,0275) of a series; empty strings stand for absent values.
package struct CatalogRequest: Hashable, Sendable {
    package var requestedProcedureID: String
    package var scheduledProcedureStepID: String
    package var accessionNumber: String
    package var requestedProcedureDescription: String
    package var scheduledProcedureStepDescription: String

    package init(
        requestedProcedureID: String = "", scheduledProcedureStepID: String = "", accessionNumber: String = "",
        requestedProcedureDescription: String = "", scheduledProcedureStepDescription: String = ""
    ) {
        self.requestedProcedureID = requestedProcedureID
        self.scheduledProcedureStepID = scheduledProcedureStepID
        self.accessionNumber = accessionNumber
        self.requestedProcedureDescription = requestedProcedureDescription
        self.scheduledProcedureStepDescription = scheduledProcedureStepDescription
    }

    var isEmpty: Bool { CatalogRequestField.allCases.allSatisfy { self[$0].isEmpty } }

    package subscript(field: CatalogRequestField) -> String {
        switch field {
        case .requestedProcedureID: requestedProcedureID
        case .scheduledProcedureStepID: scheduledProcedureStepID
        case .accessionNumber: accessionNumber
        case .requestedProcedureDescription: requestedProcedureDescription
        case .scheduledProcedureStepDescription: scheduledProcedureStepDescription
        }
    }
}

/// What of a request a query may match on.
package enum CatalogRequestField: CaseIterable, Sendable {
    case requestedProcedureID, scheduledProcedureStepID, accessionNumber
    case requestedProcedureDescription, scheduledProcedureStepDescription

    var sqlName: String {
        switch self {
        case .requestedProcedureID: "requested_procedure_id"
        case .scheduledProcedureStepID: "scheduled_procedure_step_id"
        case .accessionNumber: "accession_number"
        case .requestedProcedureDescription: "requested_procedure_description"
        case .scheduledProcedureStepDescription: "scheduled_procedure_step_description"
        }
    }

    var isIndexed: Bool { self == .requestedProcedureID || self == .scheduledProcedureStepID }
}

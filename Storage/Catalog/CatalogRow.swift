// SPDX-License-Identifier: Apache-2.0

/// One match: a patient, study, series or instance, with all of the levels above it.
///
/// Counts are over all organisations.
package struct CatalogRow: Sendable {
    package let level: CatalogLevel
    /// By `CatalogColumn.rawValue`; nil below the level.
    let values: [String?]
    package let numberOfPatientRelatedStudies: Int
    package let numberOfPatientRelatedSeries: Int
    package let numberOfPatientRelatedInstances: Int
    /// Zero at patient level, as are those further down above their own levels.
    package let numberOfStudyRelatedSeries: Int
    package let numberOfStudyRelatedInstances: Int
    package let numberOfSeriesRelatedInstances: Int
    /// In order of their text; empty at patient level.
    package let modalitiesInStudy: [String]
    package let sopClassesInStudy: [String]
    /// The first instance of what the row stands for, or the instance itself, in the asker's version.
    package let representative: CatalogVersion?
    /// See `CatalogFlag`; zero at patient level.
    package let flags: UInt32

    package subscript(column: CatalogColumn) -> String? { values[column.rawValue] }
}

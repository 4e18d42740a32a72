// SPDX-License-Identifier: Apache-2.0

/// The bits the catalog itself sets in the flags of instances, series and studies.
///
/// The lower 24 bits are the caller's, given with each instance and gathered upwards. Any set bit makes an instance
/// or a study count as flagged in the statistics.
package enum CatalogFlag {
    /// Arrived in a study that belongs to another patient.
    package static let patientConflict: UInt32 = 1 << 24
    /// Its series arrived before under another Study Instance UID.
    package static let studyConflict: UInt32 = 1 << 25
    /// Arrived before under another Series Instance UID.
    package static let seriesConflict: UInt32 = 1 << 26
    /// Arrived with different contents under one SOP Instance UID.
    package static let contentConflict: UInt32 = 1 << 27

    /// What a caller may set.
    package static let callerMask: UInt32 = (1 << 24) - 1
}

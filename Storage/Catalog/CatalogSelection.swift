// SPDX-License-Identifier: Apache-2.0

/// Which instances to retrieve; an empty list does not constrain.
package struct CatalogSelection: Sendable {
    /// Nil issuer: of any issuer.
    package var patientID: (id: String, issuer: String?)?
    package var studyInstanceUIDs: [String]
    package var seriesInstanceUIDs: [String]
    package var sopInstanceUIDs: [String]

    package init(
        patientID: (id: String, issuer: String?)? = nil, studyInstanceUIDs: [String] = [],
        seriesInstanceUIDs: [String] = [], sopInstanceUIDs: [String] = []
    ) {
        self.patientID = patientID
        self.studyInstanceUIDs = studyInstanceUIDs
        self.seriesInstanceUIDs = seriesInstanceUIDs
        self.sopInstanceUIDs = sopInstanceUIDs
    }
}

// SPDX-License-Identifier: Apache-2.0
import Database

/// How a patient is called in a hospital; both may be empty.
package struct CatalogPatientID: Equatable, Sendable {
    package let id: String
    package let issuer: String

    package init(id: String, issuer: String) {
        self.id = id
        self.issuer = issuer
    }
}

/// For the audit trail, which names the patient of what was looked at: nothing here asks who may see it.
extension CatalogReader {
    /// The patient that a study belongs to.
    package func patient(ofStudy uid: String) throws(CatalogError) -> CatalogPatientID? {
        try database.statement(
            "SELECT patient_id, issuer FROM study WHERE uid = ?"
        ).first([.text(uid)]) { row in CatalogPatientID(id: row.text(0) ?? "", issuer: row.text(1) ?? "") }
    }

    /// The study that a stored content stands in.
    package func study(ofBlob blobID: [UInt8]) throws(CatalogError) -> String? {
        try database.statement(
            """
            SELECT s.uid FROM version v JOIN instance i ON i.id = v.instance JOIN series r ON r.id = i.series
                JOIN study s ON s.id = r.study WHERE v.blob = ?
            """
        ).first([.blob(blobID)]) { row in row.text(0) ?? "" }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Database

// Which application entities sent which content. `version` names the first one, `version_caller` whoever sent the same
// bytes again; `version_source` knows organisations only, and one of their stations must not be told that an instance is
// safe because another station sent its own version of it.

extension CatalogWriter {
    /// Known content came again.
    func add(caller source: CatalogSource, of blobID: [UInt8]) throws(CatalogError) {
        let organisation = try organisationID(source.organisation)
        try database.statement(
            """
            INSERT INTO version_caller SELECT blob, ?2, ?3 FROM version
            WHERE blob = ?1 AND NOT (organisation = ?2 AND calling_ae_title = ?3) ON CONFLICT DO NOTHING
            """
        ).run([.blob(blobID), .integer(organisation), .text(source.callingAETitle)])
    }
}

extension CatalogReader {
    /// The versions of an instance whose bytes an application entity of an organisation has sent itself, be it first or
    /// again; oldest first. What is deleted is left out, what is rejected (IHE IOCM) is not: its bytes stay.
    package func versions(
        sopInstanceUID: String, sentBy aeTitle: String, organisation: String
    ) throws(CatalogError) -> [CatalogVersion] {
        var own: [CatalogVersion] = []
        for version in try versions(sopInstanceUID: sopInstanceUID) {
            let isFirst = version.callingAETitle == aeTitle && version.organisation == organisation
            let isOwn = isFirst ? true : try hasSentAgain(version.blobID, aeTitle, organisation)
            guard isOwn, try !isDeleted(version.blobID), try isHeld(version.blobID, by: organisation) else { continue }
            own.append(version)
        }
        return own
    }

    private func hasSentAgain(
        _ blobID: [UInt8], _ aeTitle: String, _ organisation: String
    ) throws(CatalogError) -> Bool {
        try database.statement(
            """
            SELECT 1 FROM version_caller c JOIN organisation o ON o.id = c.organisation
            WHERE c.blob = ? AND c.calling_ae_title = ? AND o.name = ?
            """
        ).first([.blob(blobID), .text(aeTitle), .text(organisation)]) { _ in true } ?? false
    }

    /// Whether an organisation still has what it sent: it may have deleted its own, while another one keeps the instance.
    private func isHeld(_ blobID: [UInt8], by organisation: String) throws(CatalogError) -> Bool {
        try database.statement(
            """
            SELECT 1 FROM version v JOIN organisation o ON o.name = ?2 JOIN version_source c
                ON c.instance = v.instance AND c.organisation = o.id AND c.version = v.id WHERE v.blob = ?1
            """
        ).first([.blob(blobID), .text(organisation)]) { _ in true } ?? false
    }

    private func isDeleted(_ blobID: [UInt8]) throws(CatalogError) -> Bool {
        try database.statement(
            """
            SELECT 1 FROM version v JOIN hidden h ON h.level = 3 AND h.id = v.instance AND h.reasons = 1
            WHERE v.blob = ?
            """
        ).first([.blob(blobID)]) { _ in true } ?? false
    }
}

// SPDX-License-Identifier: Apache-2.0
import DICOM

/// Who sends, and what configuration decides about what they send. It goes into each record, so that a rebuild under
/// another configuration gives the same catalog.
package struct IngestSource: Sendable {
    package enum Route: String, Sendable { case dimse, `import`, stow, administration }

    package var callingAETitle: String
    package var calledAETitle: String
    package var peerAddress: String
    package var organisation: String
    package var issuer: String
    /// Used in place of the data set's own Specific Character Set; empty: none.
    package var characterSetOverride: String
    package var associationID: String
    package var route: Route
    /// Who it was where that is no station, for the audit trail: "user NAME", "token NAME".
    package var asker = ""

    package init(
        callingAETitle: String, calledAETitle: String, peerAddress: String, organisation: String, issuer: String,
        characterSetOverride: String, associationID: String, route: Route
    ) {
        self.callingAETitle = callingAETitle
        self.calledAETitle = calledAETitle
        self.peerAddress = peerAddress
        self.organisation = organisation
        self.issuer = issuer
        self.characterSetOverride = characterSetOverride
        self.associationID = associationID
        self.route = route
    }
}

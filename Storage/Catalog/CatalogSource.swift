// SPDX-License-Identifier: Apache-2.0

/// Who sent an instance, as decided at receipt and written in its record.
package struct CatalogSource: Hashable, Sendable {
    package var organisation: String
    /// The issuer that the organisation's Patient IDs have when the data set names none.
    package var issuer: String
    package var callingAETitle: String
    package var calledAETitle: String
    package var peerAddress: String
    package var route: String

    package init(
        organisation: String, issuer: String, callingAETitle: String, calledAETitle: String, peerAddress: String,
        route: String
    ) {
        self.organisation = organisation
        self.issuer = issuer
        self.callingAETitle = callingAETitle
        self.calledAETitle = calledAETitle
        self.peerAddress = peerAddress
        self.route = route
    }
}

// SPDX-License-Identifier: Apache-2.0
import Catalog

/// Who asks for something, as it was found out at the door: what it may do and see, and whom the audit trail names. Made
/// anew for each association and each HTTP request.
package struct Asker: Sendable {
    package enum Kind: String, Sendable {
        /// A DICOM application entity; its name is the AE title.
        case station
        case user
        /// A program with an API token; its name is the token's.
        case token
        /// Whoever may open the sockets in the data directory, or is on this machine while nobody is configured.
        case local
    }

    package var kind: Kind
    package var name: String
    /// Numeric; empty: over a socket in the data directory.
    package var address: String
    package var permissions: Permissions
    package var scope: CatalogScope
    /// Also what others have shared with its organisation.
    package var seesShared = true
    /// What it is shown of that which rejection notes hide from others.
    package var shownReasons: HiddenReasons = []
    /// Of the association or the HTTP connection, for the log and the audit trail.
    package var connection = ""
    package var isEncrypted = false

    package init(
        kind: Kind, name: String, address: String, permissions: Permissions, scope: CatalogScope,
        shownReasons: HiddenReasons = [], connection: String = "", isEncrypted: Bool = false
    ) {
        self.kind = kind
        self.name = name
        self.address = address
        self.permissions = permissions
        self.scope = scope
        self.shownReasons = shownReasons
        self.connection = connection
        self.isEncrypted = isEncrypted
    }

    package var organisation: String { scope.organisation }

    /// What is shared comes and goes while an association lasts.
    package mutating func refresh(from organisations: OrganisationDirectory) {
        if seesShared { scope.sharedStudies = organisations.scope(of: organisation).sharedStudies }
    }

    package func may(_ wanted: Permissions) -> Bool { permissions.isSuperset(of: wanted) }
}

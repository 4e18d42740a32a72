// SPDX-License-Identifier: Apache-2.0

/// What an asker may see, and whose versions of instances it gets. Every question to the catalog has one, and the catalog
/// alone enforces it (`ScopeFilter`), so no service can forget to.
package struct CatalogScope: Sendable, Equatable {
    /// What an organisation has sent into one study.
    package struct SharedStudy: Sendable, Hashable {
        package var studyInstanceUID: String
        /// Who shares it: of what others sent under the same UID nothing is shown.
        package var organisation: String

        package init(studyInstanceUID: String, organisation: String) {
            self.studyInstanceUID = studyInstanceUID
            self.organisation = organisation
        }
    }

    /// The asker's own: it gets the version that this organisation sent, where it sent one.
    package var organisation: String
    /// Organisations whose instances it sees, its own among them; nil: everybody's.
    package var visible: Set<String>?
    /// What it sees besides.
    package var sharedStudies: [SharedStudy] = []

    /// Sees what these organisations have sent.
    package init(organisation: String, visible: Set<String>) {
        self.organisation = organisation
        self.visible = visible.union([organisation])
    }

    private init(everythingAs organisation: String) {
        self.organisation = organisation
        visible = nil
    }

    /// Sees all there is: for the archive's own work and its operator, and for organisations that may.
    package static func everything(as organisation: String) -> CatalogScope {
        CatalogScope(everythingAs: organisation)
    }
}

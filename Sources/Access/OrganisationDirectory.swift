// SPDX-License-Identifier: Apache-2.0
import Catalog

/// Which organisation sees what of others. One that nothing is said about sees its own alone.
package struct OrganisationDirectory: Sendable {
    package struct Organisation: Sendable {
        package var name: String
        /// Others whose instances it sees; nil: everybody's.
        package var sees: Set<String>?

        package init(name: String, sees: Set<String>?) {
            self.name = name
            self.sees = sees
        }
    }

    private var organisations: [String: Organisation] = [:]
    /// What is shown for a time besides.
    private let shares: ShareDirectory?
    /// While the operator has named no organisation at all, there is but one, and it sees everything.
    private var isOpen: Bool { organisations.isEmpty }

    package init(_ list: [Organisation] = [], shares: ShareDirectory? = nil) {
        self.shares = shares
        for organisation in list { organisations[organisation.name] = organisation }
    }

    /// What members of an organisation see at this moment. Every asker's scope is made here, for each association's operation
    /// and each request anew, so that a share ends when its time is over.
    package func scope(of name: String) -> CatalogScope {
        guard !isOpen else { return .everything(as: name) }
        let sees = organisations[name].map(\.sees) ?? []
        guard let sees else { return .everything(as: name) }
        var scope = CatalogScope(organisation: name, visible: sees)
        scope.sharedStudies = shares?.studies(for: name) ?? []
        return scope
    }
}

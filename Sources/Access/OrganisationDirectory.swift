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
    /// While the operator has named no organisation at all, there is but one, and it sees everything.
    private var isOpen: Bool { organisations.isEmpty }

    package init(_ list: [Organisation] = []) {
        for organisation in list { organisations[organisation.name] = organisation }
    }

    /// What members of an organisation see.
    package func scope(of name: String) -> CatalogScope {
        guard !isOpen else { return .everything(as: name) }
        guard let known = organisations[name] else { return CatalogScope(organisation: name, visible: []) }
        guard let sees = known.sees else { return .everything(as: name) }
        return CatalogScope(organisation: name, visible: sees)
    }
}

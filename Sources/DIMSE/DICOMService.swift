// SPDX-License-Identifier: Apache-2.0
import Access
import DICOMNetwork

/// A service that a peer's rule can allow, by the name it has in the configuration.
package enum DICOMService: String, CaseIterable, Codable, Sendable {
    case echo, store, find, get, move, commit

    /// What one must be permitted in order to use it.
    var permission: Permissions {
        switch self {
        case .echo: []
        case .find: .query
        case .get, .move: .retrieve
        case .store, .commit: .store
        }
    }

    /// The service that an abstract syntax of the archive's belongs to.
    static func of(_ abstractSyntax: String) -> DICOMService {
        if abstractSyntax == ServiceClasses.verification { return .echo }
        if ServiceClasses.find[abstractSyntax] != nil { return .find }
        if ServiceClasses.get[abstractSyntax] != nil { return .get }
        if ServiceClasses.move[abstractSyntax] != nil { return .move }
        return abstractSyntax == StorageCommitment.sopClassUID ? .commit : .store
    }

    /// What is offered to a requestor that may use `allowed` only. C-GET sends its objects on contexts of storage classes,
    /// so that one who may get and not store has them for that direction.
    static func support(
        _ abstractSyntax: String, _ offered: AbstractSyntaxSupport, allowed: Set<DICOMService>
    ) -> AbstractSyntaxSupport {
        guard offered != .unsupported, !allowed.contains(of(abstractSyntax)) else { return offered }
        return offered == .storage && allowed.contains(.get) ? .storageToRequestor : .refused
    }
}

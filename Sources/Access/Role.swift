// SPDX-License-Identifier: Apache-2.0

/// What a person is to the archive; somebody may have several roles. Each may only what its work needs:
///
/// | | query | retrieve | store | delete | share | administer | monitor | audit | sees |
/// |---|---|---|---|---|---|---|---|---|---|
/// | viewer | yes | yes | | | | | | | what its organisation may see |
/// | uploader | yes | | yes | | | | | | its organisation's own |
/// | administrator | yes | yes | yes | yes | yes | yes | yes | | what its organisation may see |
/// | auditor | | | | | | | | yes | no images, no lists |
///
/// Who changes things is not who reads the trail of changes, unless he is given both roles.
package enum Role: String, CaseIterable, Sendable {
    case viewer, uploader, administrator, auditor

    package var permissions: Permissions {
        switch self {
        case .viewer: [.query, .retrieve]
        case .uploader: [.query, .store]
        case .administrator: [.query, .retrieve, .store, .delete, .share, .administer, .monitor]
        case .auditor: [.audit]
        }
    }

    /// Whether it sees what others let its organisation see. An uploader looks whether its own has arrived.
    var seesOthers: Bool { self == .viewer || self == .administrator }

    /// The one with the fewest permissions that has these, for sentences; nil: none has them all.
    package static func least(for wanted: Permissions) -> Role? {
        allCases.filter { $0.permissions.isSuperset(of: wanted) }
            .min { $0.permissions.rawValue.nonzeroBitCount < $1.permissions.rawValue.nonzeroBitCount }
    }
}

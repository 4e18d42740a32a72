// SPDX-License-Identifier: Apache-2.0

/// What somebody may do; what may be seen is decided by the organisation (`OrganisationDirectory`).
package struct Permissions: OptionSet, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// C-FIND, QIDO-RS.
    package static let query = Permissions(rawValue: 1)
    /// C-GET, C-MOVE, WADO: the images themselves.
    package static let retrieve = Permissions(rawValue: 2)
    /// C-STORE, STOW-RS, storage commitment.
    package static let store = Permissions(rawValue: 4)
    package static let delete = Permissions(rawValue: 8)
    /// Showing a study of its own organisation to another one for a time.
    package static let share = Permissions(rawValue: 16)
    /// Users, tokens, operations.
    package static let administer = Permissions(rawValue: 32)
    /// Reading the audit trail.
    package static let audit = Permissions(rawValue: 64)
    /// Metrics, and why the archive is not ready.
    package static let monitor = Permissions(rawValue: 128)

    /// Of a station, unless its rule says less.
    package static let station: Permissions = [.query, .retrieve, .store]
    package static let all: Permissions = [
        .query, .retrieve, .store, .delete, .share, .administer, .audit, .monitor,
    ]

    /// By their names in commands and sentences, in the order of their bits.
    package static let names: [(name: String, permission: Permissions)] = [
        ("query", .query), ("retrieve", .retrieve), ("store", .store), ("delete", .delete), ("share", .share),
        ("administer", .administer), ("audit", .audit), ("monitor", .monitor),
    ]

    package var names: [String] { Self.names.filter { contains($0.permission) }.map(\.name) }

    /// - Returns: nil: one of the names is none.
    package init?(names: [String]) {
        self = []
        for name in names {
            guard let known = Self.names.first(where: { $0.name == name }) else { return nil }
            formUnion(known.permission)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// The four levels of the hierarchy, from the top.
package enum CatalogLevel: Int, Comparable, CaseIterable, Sendable {
    case patient, study, series, instance

    package static func < (left: CatalogLevel, right: CatalogLevel) -> Bool { left.rawValue < right.rawValue }

    var table: String {
        switch self {
        case .patient: "patient"
        case .study: "study"
        case .series: "series"
        case .instance: "instance"
        }
    }

    /// The table's name within a query.
    var alias: String {
        switch self {
        case .patient: "p"
        case .study: "s"
        case .series: "e"
        case .instance: "i"
        }
    }
}

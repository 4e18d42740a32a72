// SPDX-License-Identifier: Apache-2.0

/// The levels at which the catalog's row has the values that a version of an instance has itself. A row takes its values from
/// the first instance that came; whoever sends another one under the same UID or patient ID must not be told by it what the
/// first one said. So of a row's values an asker is told, and may match on, only what somebody that it sees has sent.
struct KnownLevels: OptionSet {
    let rawValue: Int64

    static let patient = KnownLevels(rawValue: 1)
    static let study = KnownLevels(rawValue: 2)
    static let series = KnownLevels(rawValue: 4)
    static let instance = KnownLevels(rawValue: 8)
}

extension CatalogLevel {
    var known: KnownLevels { KnownLevels(rawValue: 1 << Int64(rawValue)) }

    /// The columns whose values are told only to who knows them: all but those that rows are told apart by.
    var valueColumns: [CatalogColumn] { Self.valueColumnsByLevel[rawValue] }

    private static let valueColumnsByLevel = (0..<4).map { level in
        CatalogColumn.columns(of: CatalogLevel(rawValue: level)!).filter { !$0.isKey }
    }
}

extension CatalogColumn {
    var isKey: Bool {
        switch self {
        case .patientID, .issuerOfPatientID, .studyInstanceUID, .seriesInstanceUID, .sopInstanceUID: true
        default: false
        }
    }
}

extension CatalogInstance {
    /// What it says itself at a level.
    func values(of level: CatalogLevel) -> [String?] { level.valueColumns.map { values[$0.rawValue] } }
}

// SPDX-License-Identifier: Apache-2.0
import Database

/// What `study_content` has of a study, by its `kind`. Of what all have sent together the study's row tells, too.
enum StudyContents: Int64, CaseIterable {
    case modality = 1
    case sopClass = 2

    /// Of the study's row.
    var column: String { self == .modality ? "modalities" : "sop_classes" }

    /// Who sends a study with a new modality in each series makes its row no longer by it.
    private static let valuesMaximum = 32
    private static let charactersMaximum = 1000

    /// What a study's row says where these are all of its values; nil: nothing, or they do not go into a row.
    static func text(_ values: [String]) -> String? {
        let values = values.filter { !$0.isEmpty }
        guard !values.isEmpty, values.count <= valuesMaximum, !values.contains(where: { $0.utf8.contains(separator) }),
            values.reduce(0, { $0 + $1.unicodeScalars.count }) <= charactersMaximum
        else { return nil }
        return values.joined(separator: "\\")
    }

    private static let separator = UInt8(ascii: "\\")

    /// Has the study's row say what there is now.
    func tell(study id: Int64, in database: Database) throws(CatalogError) {
        var values: [String] = []
        try database.statement(
            "SELECT value FROM study_content WHERE study = ? AND organisation = 0 AND kind = ? ORDER BY value LIMIT ?"
        ).forEach([.integer(id), .integer(rawValue), .integer(Int64(Self.valuesMaximum + 1))]) {
            row throws(CatalogError) in
            values.append(row.text(0) ?? "")
            return true
        }
        try database.statement("UPDATE study SET \(column) = ? WHERE id = ?").run([
            .init(Self.text(values)), .integer(id),
        ])
    }
}

extension CatalogWriter {
    /// - Parameter isKnown: the value is one that the organisation has sent itself.
    func add(
        _ kind: StudyContents, _ value: String, _ place: Place, _ organisation: Int64, isKnown: Bool
    ) throws(CatalogError) {
        guard !value.isEmpty else { return }
        if cache.contents.count > CatalogCache.maximum { cache.contents.removeAll() }
        let content = CatalogCache.Content(
            study: place.study, organisation: isKnown ? organisation : 0, kind: kind, value: .init(value))
        guard cache.contents.insert(content).inserted else { return }
        for organisation in isKnown ? [0, organisation] : [0] {
            try database.statement("INSERT INTO study_content VALUES(?, ?, ?, ?, ?) ON CONFLICT DO NOTHING").run([
                .integer(place.study), .integer(organisation), .integer(kind.rawValue), .text(value), .init(place.date),
            ])
            // The row of a new study was written with the first.
            guard organisation == 0, database.changes > 0, !place.isNewStudy else { continue }
            try kind.tell(study: place.study, in: database)
        }
    }
}

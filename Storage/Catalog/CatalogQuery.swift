// SPDX-License-Identifier: Apache-2.0

/// How a value is matched (PS3.4 section C.2.2.2). Universal matching is no condition at all.
package enum CatalogMatch: Equatable, Sendable {
    case equals(String)
    case anyOf([String])
    /// With `*` and `?`.
    case wildcard(String)
    /// Inclusive; a bound that is nil is open. A time that lacks its last parts stands for all of them.
    case range(from: String?, to: String?)
}

extension CatalogMatch {
    /// Whether a text matches, as the catalog's columns are matched.
    package func accepts(_ text: String) -> Bool {
        switch self {
        case .equals(let value): text == value
        case .anyOf(let values): values.contains(text)
        case .wildcard(let pattern): WildcardMatcher.matches(pattern, text)
        case .range(let from, let to):
            (from.map { text >= $0 } ?? true) && (to.map { text <= $0 || text.hasPrefix($0) } ?? true)
        }
    }
}

package struct CatalogCondition: Sendable {
    package let column: CatalogColumn
    /// For names already folded for search.
    package let match: CatalogMatch

    package init(column: CatalogColumn, match: CatalogMatch) {
        self.column = column
        self.match = match
    }
}

/// Date and time matched as one moment.
package struct CatalogDateTimeRange: Sendable {
    package let dateColumn: CatalogColumn
    package let timeColumn: CatalogColumn
    package let fromDate: String?
    package let fromTime: String?
    package let toDate: String?
    package let toTime: String?

    package init(
        dateColumn: CatalogColumn, timeColumn: CatalogColumn, fromDate: String?, fromTime: String?, toDate: String?,
        toTime: String?
    ) {
        self.dateColumn = dateColumn
        self.timeColumn = timeColumn
        self.fromDate = fromDate
        self.fromTime = fromTime
        self.toDate = toDate
        self.toTime = toTime
    }
}

/// A query at one level; conditions may name columns of that level and of all above it.
package struct CatalogQuery: Sendable {
    package var level: CatalogLevel
    package var scope: CatalogScope
    package var conditions: [CatalogCondition] = []
    package var dateTimeRanges: [CatalogDateTimeRange] = []
    package var modalitiesInStudy: CatalogMatch?
    package var sopClassesInStudy: CatalogMatch?
    /// All of them must hold for one item of the Request Attributes Sequence.
    package var request: [(CatalogRequestField, CatalogMatch)] = []
    /// Words of a patient's name, each the beginning of one: whoever has them all matches as well as whom the condition on
    /// the name takes in.
    package var fuzzyPatientWords: [String] = []
    /// Whether rows come with the instance whose header answers for what is no column.
    package var needsRepresentative = true
    /// Whether rows come with the counts of their patient.
    package var countsPatients = true
    /// Whether rows come with the modalities and SOP classes of their study.
    package var needsContents = true
    /// What is hidden for these reasons only is found, too.
    package var shownReasons: HiddenReasons = []
    package var limit: Int?
    /// Rows to leave out first.
    package var offset = 0

    package init(level: CatalogLevel, scope: CatalogScope) {
        self.level = level
        self.scope = scope
    }
}

/// One row of an answer.
package struct CatalogRow: Sendable {
    fileprivate(set) var values = [String?](repeating: nil, count: CatalogColumn.allCases.count)
    package internal(set) var numberOfPatientRelatedStudies = 0
    package internal(set) var numberOfPatientRelatedSeries = 0
    package internal(set) var numberOfPatientRelatedInstances = 0
    package internal(set) var numberOfStudyRelatedSeries = 0
    package internal(set) var numberOfStudyRelatedInstances = 0
    package internal(set) var numberOfSeriesRelatedInstances = 0
    package internal(set) var modalitiesInStudy: [String] = []
    package internal(set) var sopClassesInStudy: [String] = []
    /// The instance whose stored header answers for attributes outside the catalog.
    package internal(set) var representative: CatalogVersion?
    package internal(set) var flags: CatalogFlags = []
    /// Levels of which the row tells nothing but its keys: the catalog has there what somebody sent whom the asker does not
    /// see. The header of the representative tells what the asker may know.
    package internal(set) var unknownLevels: Set<CatalogLevel> = []

    /// Whether a column is not told for that reason.
    package func isUnknown(_ column: CatalogColumn) -> Bool { unknownLevels.contains(column.level) && !column.isKey }

    /// A column's value; those of the row's own level and above are there.
    package subscript(column: CatalogColumn) -> String? { values[column.rawValue] }

    mutating func set(_ column: CatalogColumn, _ value: String?) { values[column.rawValue] = value }

    /// - Parameter kind: as `study_content` has it.
    mutating func addContent(kind: Int64, _ value: String?) {
        if kind == 1 { modalitiesInStudy.append(value ?? "") } else { sopClassesInStudy.append(value ?? "") }
    }
    /// - Parameters: as a row of `study` has them.
    mutating func setContents(modalities: String, sopClasses: String) {
        func values(_ text: String) -> [String] {
            text.utf8.split(separator: UInt8(ascii: "\\")).map { String(Substring($0)) }
        }
        modalitiesInStudy = values(modalities)
        sopClassesInStudy = values(sopClasses)
    }
}

// SPDX-License-Identifier: Apache-2.0

/// How one value must match. A missing value matches none of these.
package enum CatalogMatch: Hashable, Sendable {
    /// Case-sensitive; for person names the folded form.
    case equals(String)
    case anyOf([String])
    /// DICOM's `*` and `?`.
    case wildcard(String)
    /// Inclusive, over normalised DA (`yyyymmdd`) or TM values. A time within the upper bound's precision is within:
    /// `101530` is not after `10`.
    case range(from: String?, to: String?)
}

/// One column's match.
package struct CatalogCondition: Hashable, Sendable {
    package var column: CatalogColumn
    package var match: CatalogMatch

    package init(_ column: CatalogColumn, _ match: CatalogMatch) {
        self.column = column
        self.match = match
    }
}

/// Combined date-time matching: the two columns taken as one point in time.
package struct CatalogDateTimeRange: Hashable, Sendable {
    package var dateColumn: CatalogColumn
    package var timeColumn: CatalogColumn
    package var fromDate: String?
    package var fromTime: String?
    package var toDate: String?
    package var toTime: String?

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

/// What to find. All parts must hold; conditions may be of the query's level or any above it.
package struct CatalogQuery: Sendable {
    package var level: CatalogLevel
    package var conditions: [CatalogCondition]
    package var dateTimeRanges: [CatalogDateTimeRange]
    package var modalitiesInStudy: CatalogMatch?
    package var sopClassesInStudy: CatalogMatch?
    /// All satisfied by one request item of the series, or at study level of any series of it.
    package var request: [(field: CatalogRequestField, match: CatalogMatch)]
    /// The asker's, which decides whose version represents a row.
    package var organisation: String
    package var limit: Int?
    /// Whether rows carry the version whose stored header answers for attributes outside the catalog.
    package var wantsRepresentative: Bool

    package init(
        level: CatalogLevel, conditions: [CatalogCondition] = [], dateTimeRanges: [CatalogDateTimeRange] = [],
        modalitiesInStudy: CatalogMatch? = nil, sopClassesInStudy: CatalogMatch? = nil,
        request: [(field: CatalogRequestField, match: CatalogMatch)] = [], organisation: String, limit: Int? = nil,
        wantsRepresentative: Bool = true
    ) {
        self.level = level
        self.conditions = conditions
        self.dateTimeRanges = dateTimeRanges
        self.modalitiesInStudy = modalitiesInStudy
        self.sopClassesInStudy = sopClassesInStudy
        self.request = request
        self.organisation = organisation
        self.limit = limit
        self.wantsRepresentative = wantsRepresentative
    }
}

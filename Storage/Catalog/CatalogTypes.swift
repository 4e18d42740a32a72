// SPDX-License-Identifier: Apache-2.0

/// Where an instance came from, and what was decided about it at receipt.
package struct CatalogSource: Equatable, Sendable {
    package var organisation: String
    package var issuer: String
    package var callingAETitle: String
    package var calledAETitle: String
    package var peerAddress: String
    package var route: String

    package init(
        organisation: String, issuer: String, callingAETitle: String, calledAETitle: String, peerAddress: String,
        route: String
    ) {
        self.organisation = organisation
        self.issuer = issuer
        self.callingAETitle = callingAETitle
        self.calledAETitle = calledAETitle
        self.peerAddress = peerAddress
        self.route = route
    }
}

/// A record's place in the log.
package struct CatalogLocation: Hashable, Sendable {
    package var writer: UInt32
    package var segment: UInt32
    package var offset: UInt64
    package var length: UInt64

    package init(writer: UInt32, segment: UInt32, offset: UInt64, length: UInt64) {
        self.writer = writer
        self.segment = segment
        self.offset = offset
        self.length = length
    }
}

/// One item of a series' Request Attributes Sequence.
package struct CatalogRequest: Equatable, Sendable {
    package var requestedProcedureID: String
    package var scheduledProcedureStepID: String
    package var accessionNumber: String
    package var requestedProcedureDescription: String
    package var scheduledProcedureStepDescription: String

    package init(
        requestedProcedureID: String, scheduledProcedureStepID: String, accessionNumber: String,
        requestedProcedureDescription: String, scheduledProcedureStepDescription: String
    ) {
        self.requestedProcedureID = requestedProcedureID
        self.scheduledProcedureStepID = scheduledProcedureStepID
        self.accessionNumber = accessionNumber
        self.requestedProcedureDescription = requestedProcedureDescription
        self.scheduledProcedureStepDescription = scheduledProcedureStepDescription
    }
}

/// The fields of `CatalogRequest` that queries match on; raw values are column names.
package enum CatalogRequestField: String, Sendable {
    case requestedProcedureID = "requested_procedure_id"
    case scheduledProcedureStepID = "scheduled_procedure_step_id"
    case accessionNumber = "accession_number"
    case requestedProcedureDescription = "requested_procedure_description"
    case scheduledProcedureStepDescription = "scheduled_procedure_step_description"
}

/// An instance record of the log, as the catalog takes it.
package struct CatalogInstance: Sendable {
    package var sequence: UInt64
    package var receivedAtNanoseconds: Int64
    package var source: CatalogSource
    package var blobID: [UInt8]
    package var location: CatalogLocation
    package var dataSetLength: UInt64
    package var transferSyntaxUID: String
    /// The record's own flags.
    package var flags: UInt32
    /// By `CatalogColumn.rawValue`: UTF-8, trimmed.
    package var values: [String?]
    /// The same for names, folded for search.
    package var folded: [String?]
    package var requests: [CatalogRequest]
    /// What it says, if it is a rejection note.
    package var rejection: CatalogRejection?
    /// The archive itself wrote a good copy of what it had, so nobody has sent it again.
    package var isOwnCopy = false

    package init(
        sequence: UInt64, receivedAtNanoseconds: Int64, source: CatalogSource, blobID: [UInt8],
        location: CatalogLocation, dataSetLength: UInt64, transferSyntaxUID: String, flags: UInt32, values: [String?],
        folded: [String?], requests: [CatalogRequest]
    ) {
        self.sequence = sequence
        self.receivedAtNanoseconds = receivedAtNanoseconds
        self.source = source
        self.blobID = blobID
        self.location = location
        self.dataSetLength = dataSetLength
        self.transferSyntaxUID = transferSyntaxUID
        self.flags = flags
        self.values = values
        self.folded = folded
        self.requests = requests
    }

    subscript(column: CatalogColumn) -> String { values[column.rawValue] ?? "" }
}

/// A sighting record: known content came again.
package struct CatalogSighting: Sendable {
    package var sequence: UInt64
    package var receivedAtNanoseconds: Int64
    package var source: CatalogSource
    package var blobID: [UInt8]

    package init(sequence: UInt64, receivedAtNanoseconds: Int64, source: CatalogSource, blobID: [UInt8]) {
        self.sequence = sequence
        self.receivedAtNanoseconds = receivedAtNanoseconds
        self.source = source
        self.blobID = blobID
    }
}

/// What a record of the log means to the catalog.
package enum CatalogEvent: Sendable {
    case instance(CatalogInstance)
    case sighting(CatalogSighting)
    case tombstone(CatalogTombstone)
    /// What the tombstone of this number deleted is there again.
    case undelete(sequence: UInt64, tombstone: UInt64)
    /// What the tombstone of this number deleted is gone for good.
    case purge(sequence: UInt64, tombstone: UInt64)
    /// The stored bytes of a blob were found damaged.
    case damaged(sequence: UInt64, blobID: [UInt8])
    /// A rule in force from here on, such as those of retention.
    case setting(sequence: UInt64, name: String, value: String)
    /// A kind that changes nothing here.
    case other(sequence: UInt64)

    package var sequence: UInt64 {
        switch self {
        case .instance(let instance): instance.sequence
        case .sighting(let sighting): sighting.sequence
        case .tombstone(let tombstone): tombstone.sequence
        case .undelete(let sequence, _), .purge(let sequence, _), .damaged(let sequence, _),
            .setting(let sequence, _, _), .other(let sequence):
            sequence
        }
    }
}

/// How far into the log the catalog has come.
package struct CatalogPosition: Equatable, Sendable {
    package var sequence: UInt64
    package var writer: UInt32
    package var segment: UInt32
    package var endOffset: UInt64

    package init(sequence: UInt64, writer: UInt32, segment: UInt32, endOffset: UInt64) {
        self.sequence = sequence
        self.writer = writer
        self.segment = segment
        self.endOffset = endOffset
    }
}

/// What the catalog marks.
package struct CatalogFlags: OptionSet, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }

    /// A UID breaks the grammar or was missing.
    package static let faultyUID = CatalogFlags(rawValue: 1)
    /// The same UID came with other content, or under another parent.
    package static let conflict = CatalogFlags(rawValue: 2)
    /// Stored bytes, of the instance or of one below, were found damaged and not replaced yet.
    package static let damaged = CatalogFlags(rawValue: 4)
}

/// One stored version of an instance.
package struct CatalogVersion: Equatable, Sendable {
    package var sopClassUID: String
    package var sopInstanceUID: String
    package var seriesInstanceUID: String
    package var studyInstanceUID: String
    package var transferSyntaxUID: String
    package var blobID: [UInt8]
    package var location: CatalogLocation
    package var dataSetLength: UInt64
    package var sequence: UInt64
    /// Who sent this version first.
    package var organisation: String
    package var callingAETitle: String
    package var flags: CatalogFlags
}

/// What a retrieval asks for; an empty list constrains nothing.
package struct CatalogSelection: Sendable {
    package var patientID: (id: String, issuer: String?)?
    package var studyInstanceUIDs: [String] = []
    package var seriesInstanceUIDs: [String] = []
    package var sopInstanceUIDs: [String] = []
    /// What is hidden for these reasons only is selected, too.
    package var shownReasons: HiddenReasons = []

    package init() {}
}

package struct CatalogStatistics: Equatable, Sendable {
    package var patients = 0
    package var studies = 0
    package var series = 0
    package var instances = 0
    package var versions = 0
    package var sightings = 0
    package var storedBytes = 0
    /// Data set bytes that came again and were not stored again.
    package var savedBytes = 0
    /// Studies, series and instances with a flag.
    package var flagged = 0
}

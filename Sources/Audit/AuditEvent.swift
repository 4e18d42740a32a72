// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// Something that the audit trail keeps: who did what to whose images, from where, and what came of it. One for each request
/// or operation, never one for each instance.
package struct AuditEvent: Codable, Hashable, Sendable {
    /// The messages of PS3.15 section A.5.3.
    package enum Kind: String, Codable, CaseIterable, Sendable {
        /// A.5.3.1 Application Activity.
        case started = "application-start"
        case stopped = "application-stop"
        /// A.5.3.2 Audit Log Used.
        case auditUsed = "audit-log-used"
        /// A.5.3.3 Begin Transferring DICOM Instances.
        case transferBegun = "transfer-begun"
        /// A.5.3.4 Data Export.
        case exported = "data-export"
        /// A.5.3.6 DICOM Instances Accessed.
        case accessed = "instances-accessed"
        /// A.5.3.7 DICOM Instances Transferred: from here to others.
        case transferred = "instances-transferred"
        /// A.5.3.7, too: from others to here. Never written into the trail: the log's records say it.
        case stored = "instances-stored"
        /// A.5.3.8 DICOM Study Deleted.
        case deleted = "study-deleted"
        /// A.5.3.10 Query.
        case query
        /// A.5.3.11 Security Alert.
        case alert = "security-alert"
        /// A.5.3.12 User Authentication.
        case loggedIn = "login"
        case loggedOut = "logout"
    }

    /// What a security alert is about (PS3.16 CID 403).
    package enum Alert: String, Codable, CaseIterable, Sendable {
        /// A caller that is not known, or not who it says.
        case nodeAuthentication = "node-authentication"
        /// Something that only administrators do.
        case restrictedFunction = "restricted-function"
        /// What protects the archive, or does not.
        case securityConfiguration = "security-configuration"
        case userAttributes = "user-attributes"
        /// Who may see an object.
        case objectAttributes = "object-attributes"
        /// The trail itself: something of it is missing, or was cut off.
        case auditRecording = "audit-recording"
        /// A question about what the asker must not see.
        case accessDenied = "access-denied"
    }

    /// What is done to an instance (PS3.15 section A.5.3.6).
    package enum Access: String, Codable, Sendable {
        case create = "C"
        case read = "R"
        case update = "U"
        case delete = "D"
    }

    /// EventOutcomeIndicator of PS3.15 section A.5.1.
    package enum Outcome: Int, Codable, Sendable {
        case success = 0
        case minorFailure = 4
        case seriousFailure = 8
        case majorFailure = 12
    }

    package var event: Kind
    package var alert: Alert?
    package var access: Access?
    package var outcome: Outcome
    /// How it was asked for: "C-FIND", "WADO-RS metadata", "snimok delete".
    package var action: String
    package var who: AuditParty
    /// Where instances go to (or come from) when that is not `who`: a move destination, a folder.
    package var other: AuditParty?
    /// At most `studiesMaximum`; `studyCount` tells how many there are.
    package var studies: [AuditStudy]?
    package var studyCount: Int?
    package var query: AuditQuery?
    /// Instances, or rows of an answer; nil: it was not over yet.
    package var count: Int?
    package var detail: String?
    /// How often the same has happened since the entry before about it.
    package var repeated: Int?

    package static let studiesMaximum = 64

    package init(
        _ event: Kind, _ action: String, by who: AuditParty, outcome: Outcome = .success, detail: String? = nil
    ) {
        self.event = event
        self.action = action
        self.who = who
        self.outcome = outcome
        self.detail = detail
    }

    /// Keeps the first of them, and how many there are.
    package mutating func take(_ all: [AuditStudy]) {
        studies = Array(all.prefix(Self.studiesMaximum))
        studyCount = all.count
    }
}

/// Somebody who takes part: a station, a user, a program, an operator of this machine.
package struct AuditParty: Codable, Hashable, Sendable {
    package enum Kind: String, Codable, Sendable {
        /// A DICOM application entity; its name is the AE title.
        case station
        case user
        /// A program with an API token.
        case token
        /// Whoever may open the sockets in the data directory.
        case local
        /// Nobody has said who it is.
        case unknown
        /// The archive itself.
        case archive
        /// A folder or a medium.
        case media
    }

    package var kind: Kind
    package var name: String
    package var organisation: String
    /// Numeric; empty: on this machine.
    package var address: String
    /// Of the association or the HTTP connection; empty: none.
    package var connection: String

    package init(
        _ kind: Kind, name: String, organisation: String = "", address: String = "", connection: String = ""
    ) {
        self.kind = kind
        self.name = name
        self.organisation = organisation
        self.address = address
        self.connection = connection
    }
}

/// A study that an event is about.
package struct AuditStudy: Codable, Hashable, Sendable {
    package var uid: String
    package var patient: String?
    package var issuer: String?
    /// Instances by SOP class, at most `classesMaximum` of them; what is beyond counts under an empty UID.
    package var classes: [String: Int]?

    package static let classesMaximum = 16

    package init(_ uid: String, patient: String? = nil, issuer: String? = nil, classes: [String: Int]? = nil) {
        self.uid = uid
        self.patient = patient
        self.issuer = issuer
        self.classes = classes
    }

    package mutating func count(_ sopClassUID: String) {
        var counts = classes ?? [:]
        let isKnown = counts[sopClassUID] != nil || counts.count < Self.classesMaximum
        counts[isKnown ? sopClassUID : "", default: 0] += 1
        classes = counts
    }
}

/// What somebody asked (PS3.15 section A.5.3.10).
package struct AuditQuery: Codable, Hashable, Sendable {
    /// SOP class of the query, or the resource of a search.
    package var subject: String
    package var transferSyntax: String?
    /// Base64: the identifier as it came, or the address's parameters; cut at `keysMaximum` bytes.
    package var keys: String
    /// Bytes there were; nil: all are here.
    package var bytes: Int?

    package static let keysMaximum = 16_384

    package init(subject: String, transferSyntax: String? = nil, keys: [UInt8]) {
        self.subject = subject
        self.transferSyntax = transferSyntax
        self.keys = Data(keys.prefix(Self.keysMaximum)).base64EncodedString()
        bytes = keys.count > Self.keysMaximum ? keys.count : nil
    }
}

/// A line of the trail.
package struct AuditEntry: Decodable, Sendable {
    package let number: UInt64
    /// When it happened, UTC.
    package let time: String
    package let event: AuditEvent

    private enum Keys: String, CodingKey { case n, at }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Keys.self)
        number = try container.decodeIfPresent(UInt64.self, forKey: .n) ?? 0
        time = try container.decode(String.self, forKey: .at)
        event = try AuditEvent(from: decoder)
    }

    /// As a line of JSON, without a number and a chain value.
    package var line: [UInt8] { [UInt8(ascii: "{")] + AuditLine.encoded(event, at: time) + [UInt8(ascii: "}")] }

    /// One that is derived, and stands nowhere.
    package init(time: String, event: AuditEvent) {
        number = 0
        self.time = time
        self.event = event
    }
}

// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// Who reports: what every message says of the archive.
package struct AuditSource: Sendable {
    package var aeTitle: String
    package var organisation: String
    /// Of this machine.
    package var host: String

    package init(aeTitle: String, organisation: String, host: String) {
        self.aeTitle = aeTitle
        self.organisation = organisation
        self.host = host
    }
}

/// Entries of the trail as DICOM Audit Messages (PS3.15 sections A.5.1 to A.5.3).
package struct AuditMessage {
    private let entry: AuditEntry
    private let source: AuditSource
    private let studies: [AuditStudy]
    private var xml = XMLText()

    /// The messages of an entry: of those that may speak of one patient only, one for each.
    package static func messages(_ entry: AuditEntry, source: AuditSource) -> [String] {
        let studies = entry.event.studies ?? []
        guard [.transferBegun, .transferred, .stored, .accessed, .deleted].contains(entry.event.event) else {
            return [AuditMessage(entry, source, studies).written()]
        }
        var groups: [[AuditStudy]] = []
        for study in studies {
            let index = groups.firstIndex { $0[0].patient == study.patient && $0[0].issuer == study.issuer }
            if let index { groups[index].append(study) } else { groups.append([study]) }
        }
        return (groups.isEmpty ? [[]] : groups).map { AuditMessage(entry, source, $0).written() }
    }

    private init(_ entry: AuditEntry, _ source: AuditSource, _ studies: [AuditStudy]) {
        self.entry = entry
        self.source = source
        self.studies = studies
    }

    private var event: AuditEvent { entry.event }

    private func written() -> String {
        var copy = self
        return copy.write()
    }

    private mutating func write() -> String {
        xml.begin("AuditMessage")
        identification()
        participants()
        xml.begin(
            "AuditSourceIdentification",
            ["AuditEnterpriseSiteID": source.organisation, "AuditSourceID": source.aeTitle])
        // An application server (PS3.15 section A.5.1.2.1).
        xml.empty("AuditSourceTypeCode", ["csd-code": "4"])
        xml.end()
        objects()
        xml.end()
        return #"<?xml version="1.0" encoding="UTF-8"?>"# + xml.text
    }

    private mutating func code(_ name: StaticString, _ code: AuditCode) {
        xml.empty(name, ["csd-code": code.value, "codeSystemName": code.system, "originalText": code.meaning])
    }

    private mutating func identification() {
        xml.begin(
            "EventIdentification",
            [
                "EventActionCode": event.actionCode, "EventDateTime": entry.time,
                "EventOutcomeIndicator": String(event.outcome.rawValue),
            ])
        code("EventID", event.event.code)
        if let type = event.typeCode { code("EventTypeCode", type) }
        xml.element("EventOutcomeDescription", outcomeDescription)
        xml.end()
    }

    private var outcomeDescription: String {
        var parts = [event.action]
        if let detail = event.detail { parts.append(detail) }
        if let count = event.count { parts.append("count \(count)") }
        if let repeated = event.repeated { parts.append("\(repeated) times more") }
        return parts.joined(separator: "; ")
    }

    // MARK: Participants

    private mutating func participants() {
        let archive = AuditParty(.archive, name: source.aeTitle, address: source.host)
        let isRequestor = event.who.kind != .archive
        switch event.event {
        case .started, .stopped: participant(archive, [.application], isRequestor: false)
        case .transferBegun, .transferred, .query:
            let isQuery = event.event == .query
            let receiver = event.other ?? event.who
            participant(archive, [isQuery ? .destination : .source], isRequestor: false)
            participant(receiver, [isQuery ? .source : .destination], isRequestor: event.other == nil)
            // A third party, as with C-MOVE.
            if event.other != nil { participant(event.who, [], isRequestor: true) }
        case .stored:
            participant(event.who, [.source], isRequestor: true)
            participant(archive, [.destination], isRequestor: false)
        case .exported:
            participant(event.who, [.source], isRequestor: true)
            if let media = event.other { participant(media, [.destinationMedia], isRequestor: false) }
        case .alert:
            // The reporting process, and whom the alert is about (table A.5.3.11-1).
            participant(archive, [.application], isRequestor: false)
            if isRequestor { participant(event.who, [], isRequestor: false) }
        case .loggedIn, .loggedOut:
            participant(event.who, [], isRequestor: true)
            participant(archive, [.application], isRequestor: false)
        case .auditUsed, .accessed, .deleted: participant(event.who, [], isRequestor: isRequestor)
        }
    }

    private mutating func participant(_ party: AuditParty, _ roles: [AuditCode], isRequestor: Bool) {
        // PS3.15 section A.5.2.2.
        let isNode = party.kind == .station || party.kind == .archive
        let alternative = isNode ? "AETITLES=\(party.name)" : nil
        let name = party.name.isEmpty ? party.kind.rawValue : party.name
        let isNumeric = party.address.contains(":") || party.address.allSatisfy { $0.isNumber || $0 == "." }
        let type = isNumeric ? "2" : "1"
        xml.begin(
            "ActiveParticipant",
            [
                "UserID": party.kind == .media ? "file://\(name)" : name, "AlternativeUserID": alternative,
                "UserName": party.organisation.isEmpty ? nil : "\(party.kind.rawValue) of \(party.organisation)",
                "UserIsRequestor": isRequestor ? "true" : "false",
                "NetworkAccessPointID": party.address.isEmpty ? nil : party.address,
                "NetworkAccessPointTypeCode": party.address.isEmpty ? nil : type,
            ])
        for role in roles { code("RoleIDCode", role) }
        if party.kind == .media {
            xml.begin("MediaIdentifier")
            code("MediaType", .mediaURI)
            xml.end()
        }
        xml.end()
    }

    // MARK: Objects

    private mutating func objects() {
        switch event.event {
        case .auditUsed: auditLog()
        case .query: query()
        case .alert: alertSubject()
        default: break
        }
        for study in studies { object(study) }
        for patient in patients() { object(patient) }
    }

    private mutating func object(
        _ id: String, _ type: String, role: String?, _ code: AuditCode, _ content: (inout AuditMessage) -> Void
    ) {
        xml.begin(
            "ParticipantObjectIdentification",
            ["ParticipantObjectID": id, "ParticipantObjectTypeCode": type, "ParticipantObjectTypeCodeRole": role])
        self.code("ParticipantObjectIDTypeCode", code)
        content(&self)
        xml.end()
    }

    /// Table A.5.3.2-1.
    private mutating func auditLog() {
        object("snimok:audit", "2", role: "13", .uri) { $0.xml.element("ParticipantObjectName", "Security Audit Log") }
    }

    /// Table A.5.3.10-1.
    private mutating func query() {
        guard let query = event.query else { return }
        object(query.subject, "2", role: "3", query.transferSyntax == nil ? .uri : .sopClassUID) { message in
            message.xml.element("ParticipantObjectQuery", query.keys)
            if let syntax = query.transferSyntax {
                message.xml.empty(
                    "ParticipantObjectDetail",
                    ["type": "TransferSyntax", "value": Data(syntax.utf8).base64EncodedString()])
            }
        }
    }

    /// Table A.5.3.11-1.
    private mutating func alertSubject() {
        object(event.action, "2", role: nil, .nodeID) { message in
            message.xml.element("ParticipantObjectName", "")
            message.xml.empty(
                "ParticipantObjectDetail",
                [
                    "type": "Alert Description",
                    "value": Data((message.event.detail ?? message.event.action).utf8).base64EncodedString(),
                ])
        }
    }

    private mutating func object(_ study: AuditStudy) {
        object(study.uid, "2", role: "3", .studyInstanceUID) { message in
            message.xml.element("ParticipantObjectName", "")
            guard let classes = study.classes, !classes.isEmpty else { return }
            message.xml.begin("ParticipantObjectDescription")
            for (uid, count) in classes.sorted(by: { $0.key < $1.key }) {
                message.xml.empty("SOPClass", ["UID": uid.isEmpty ? nil : uid, "NumberOfInstances": String(count)])
            }
            message.xml.end()
        }
    }

    /// The name is left out: the ID says who it is to those who may know.
    private mutating func object(_ patient: AuditPatient) {
        let id = patient.issuer.isEmpty ? patient.id : "\(patient.id)^^^\(patient.issuer)"
        object(id, "1", role: "1", .patientNumber) { $0.xml.element("ParticipantObjectName", "") }
    }

    private struct AuditPatient: Equatable {
        let id: String
        let issuer: String
    }

    private func patients() -> [AuditPatient] {
        var patients: [AuditPatient] = []
        for study in studies {
            guard let id = study.patient else { continue }
            let patient = AuditPatient(id: id, issuer: study.issuer ?? "")
            if !patients.contains(patient) { patients.append(patient) }
        }
        return patients
    }
}

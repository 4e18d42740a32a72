// SPDX-License-Identifier: Apache-2.0

/// A coded value of the schema (PS3.15 section A.5.1); codes of PS3.16 annex D unless said otherwise.
struct AuditCode {
    let value: String
    let system: String
    let meaning: String

    init(_ value: String, _ meaning: String, system: String = "DCM") {
        self.value = value
        self.meaning = meaning
        self.system = system
    }

    static let application = AuditCode("110150", "Application")
    static let destination = AuditCode("110152", "Destination Role ID")
    static let source = AuditCode("110153", "Source Role ID")
    static let destinationMedia = AuditCode("110154", "Destination Media")
    static let mediaURI = AuditCode("110037", "URI")
    static let studyInstanceUID = AuditCode("110180", "Study Instance UID")
    static let sopClassUID = AuditCode("110181", "SOP Class UID")
    static let nodeID = AuditCode("110182", "Node ID")
    // PS3.15 section A.5.1.2.4.
    static let patientNumber = AuditCode("2", "Patient Number", system: "RFC-3881")
    static let uri = AuditCode("12", "URI", system: "RFC-3881")
}

extension AuditEvent.Kind {
    /// PS3.16 CID 400.
    var code: AuditCode {
        switch self {
        case .started, .stopped: AuditCode("110100", "Application Activity")
        case .auditUsed: AuditCode("110101", "Audit Log Used")
        case .transferBegun: AuditCode("110102", "Begin Transferring DICOM Instances")
        case .accessed: AuditCode("110103", "DICOM Instances Accessed")
        case .transferred, .stored: AuditCode("110104", "DICOM Instances Transferred")
        case .deleted: AuditCode("110105", "DICOM Study Deleted")
        case .exported: AuditCode("110106", "Export")
        case .query: AuditCode("110112", "Query")
        case .alert: AuditCode("110113", "Security Alert")
        case .loggedIn, .loggedOut: AuditCode("110114", "User Authentication")
        }
    }
}

extension AuditEvent {
    /// PS3.16 CID 401 and 403; nil: none is wanted.
    var typeCode: AuditCode? {
        switch event {
        case .started: AuditCode("110120", "Application Start")
        case .stopped: AuditCode("110121", "Application Stop")
        case .loggedIn: AuditCode("110122", "Login")
        case .loggedOut: AuditCode("110123", "Logout")
        case .alert:
            switch alert {
            case .nodeAuthentication: AuditCode("110126", "Node Authentication")
            case .securityConfiguration: AuditCode("110129", "Security Configuration")
            case .auditRecording: AuditCode("110133", "Audit Recording Stopped")
            case .objectAttributes: AuditCode("110135", "Object Security Attributes Changed")
            case .userAttributes: AuditCode("110137", "User Security Attributes Changed")
            case .restrictedFunction, .accessDenied, nil: AuditCode("110132", "Use of Restricted Function")
            }
        default: nil
        }
    }

    /// EventActionCode, as the tables of PS3.15 section A.5.3 want it.
    var actionCode: String {
        switch event {
        case .started, .stopped, .transferBegun, .query, .alert, .loggedIn, .loggedOut: "E"
        // "R" where it is not known whether the receiver had them (table A.5.3.7-1).
        case .auditUsed, .exported, .transferred: "R"
        case .stored: (access ?? .create).rawValue
        case .deleted: "D"
        case .accessed: (access ?? .read).rawValue
        }
    }
}

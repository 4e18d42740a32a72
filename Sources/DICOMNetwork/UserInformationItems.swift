// SPDX-License-Identifier: Apache-2.0

/// How many operations may be under way at once, from the requestor's side (PS3.7 section D.3.3.3).
/// 0 means unlimited.
package struct AsynchronousOperationsWindow: Equatable, Sendable {
    /// Operations the association requestor may have outstanding.
    package var maximumInvoked: UInt16
    /// Operations the association requestor is ready to perform at once.
    package var maximumPerformed: UInt16

    package init(maximumInvoked: UInt16, maximumPerformed: UInt16) {
        self.maximumInvoked = maximumInvoked
        self.maximumPerformed = maximumPerformed
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(PDUError) {
        var reader = WireReader(bytes)
        maximumInvoked = try reader.readUInt16()
        maximumPerformed = try reader.readUInt16()
        try reader.expectEnd()
    }

    func append(to writer: inout PDUWriter) {
        writer.item(ItemType.asynchronousOperationsWindow) { writer in
            writer.append(maximumInvoked)
            writer.append(maximumPerformed)
        }
    }
}

/// Which roles the association requestor takes for a SOP class (PS3.7 section D.3.3.4).
package struct RoleSelection: Equatable, Sendable {
    package var sopClassUID: String
    package var scuRole: Bool
    package var scpRole: Bool

    package init(sopClassUID: String, scuRole: Bool, scpRole: Bool) {
        self.sopClassUID = sopClassUID
        self.scuRole = scuRole
        self.scpRole = scpRole
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(PDUError) {
        var reader = WireReader(bytes)
        sopClassUID = try WireText.uid(try reader.takeCounted(), "role selection SOP class")
        // 0 is no, 1 is yes (PS3.7 tables D.3-9 and D.3-10); anything else is no agreement to the role.
        scuRole = try reader.readUInt8() == 1
        scpRole = try reader.readUInt8() == 1
        try reader.expectEnd()
    }

    func append(to writer: inout PDUWriter) {
        writer.item(ItemType.roleSelection) { writer in
            writer.counted { $0.appendUID(sopClassUID) }
            writer.append(UInt8(scuRole ? 1 : 0))
            writer.append(UInt8(scpRole ? 1 : 0))
        }
    }
}

/// Options of one SOP class in a form that its service class defines (PS3.7 section D.3.3.5), for example
/// relational queries (PS3.4 section C.5.1.1).
package struct SOPClassExtendedNegotiation: Equatable, Sendable {
    package var sopClassUID: String
    package var applicationInformation: [UInt8]

    package init(sopClassUID: String, applicationInformation: [UInt8]) {
        self.sopClassUID = sopClassUID
        self.applicationInformation = applicationInformation
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(PDUError) {
        var reader = WireReader(bytes)
        sopClassUID = try WireText.uid(try reader.takeCounted(), "extended negotiation SOP class")
        applicationInformation = [UInt8](reader.takeRest())
    }

    func append(to writer: inout PDUWriter) {
        writer.item(ItemType.extendedNegotiation) { writer in
            writer.counted { $0.appendUID(sopClassUID) }
            writer.append(applicationInformation)
        }
    }
}

/// Which service class, and which more general SOP classes, a SOP class belongs to, so that an acceptor can take
/// classes it has never heard of (PS3.7 section D.3.3.6).
package struct SOPClassCommonExtendedNegotiation: Equatable, Sendable {
    package var sopClassUID: String
    package var serviceClassUID: String
    package var relatedGeneralSOPClassUIDs: [String]

    static let maximumRelatedClasses = 64

    package init(sopClassUID: String, serviceClassUID: String, relatedGeneralSOPClassUIDs: [String]) {
        self.sopClassUID = sopClassUID
        self.serviceClassUID = serviceClassUID
        self.relatedGeneralSOPClassUIDs = relatedGeneralSOPClassUIDs
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(PDUError) {
        var reader = WireReader(bytes)
        sopClassUID = try WireText.uid(try reader.takeCounted(), "common extended negotiation SOP class")
        serviceClassUID = try WireText.uid(try reader.takeCounted(), "service class")
        relatedGeneralSOPClassUIDs = []
        var related = WireReader(try reader.takeCounted())
        while !related.isAtEnd {
            let uid = try WireText.uid(try related.takeCounted(), "related general SOP class")
            guard relatedGeneralSOPClassUIDs.count < Self.maximumRelatedClasses else {
                throw .tooManyItems("related general SOP classes")
            }
            relatedGeneralSOPClassUIDs.append(uid)
        }
        // What follows is reserved for later versions of this sub-item (PS3.7 table D.3-12).
    }

    func append(to writer: inout PDUWriter) {
        writer.item(ItemType.commonExtendedNegotiation) { writer in
            writer.counted { $0.appendUID(sopClassUID) }
            writer.counted { $0.appendUID(serviceClassUID) }
            writer.counted { writer in
                for uid in relatedGeneralSOPClassUIDs.prefix(Self.maximumRelatedClasses) {
                    writer.counted { $0.appendUID(uid) }
                }
            }
        }
    }
}

/// Who the requestor says its user is (PS3.7 section D.3.3.7.1). Secrets travel in it: never log it.
package struct UserIdentity: Equatable, Sendable {
    /// 1 user name, 2 user name and passcode, 3 Kerberos ticket, 4 SAML assertion, 5 JSON Web Token.
    package var type: UInt8
    package var positiveResponseRequested: Bool
    package var primaryField: [UInt8]
    /// The passcode, when `type` is 2; otherwise empty.
    package var secondaryField: [UInt8]

    package init(type: UInt8, positiveResponseRequested: Bool, primaryField: [UInt8], secondaryField: [UInt8]) {
        self.type = type
        self.positiveResponseRequested = positiveResponseRequested
        self.primaryField = primaryField
        self.secondaryField = secondaryField
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(PDUError) {
        var reader = WireReader(bytes)
        type = try reader.readUInt8()
        positiveResponseRequested = try reader.readUInt8() == 1
        primaryField = [UInt8](try reader.takeCounted())
        secondaryField = [UInt8](try reader.takeCounted())
        try reader.expectEnd()
    }

    func append(to writer: inout PDUWriter) {
        writer.item(ItemType.userIdentity) { writer in
            writer.append(type)
            writer.append(UInt8(positiveResponseRequested ? 1 : 0))
            writer.counted { $0.append(primaryField) }
            writer.counted { $0.append(secondaryField) }
        }
    }
}

extension UserIdentity: CustomStringConvertible {
    /// Says nothing of the fields, so that a request may be logged whole.
    package var description: String { "UserIdentity(type: \(type))" }
}

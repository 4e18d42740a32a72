// SPDX-License-Identifier: Apache-2.0

/// A-ASSOCIATE-RQ, what a requestor opens with (PS3.8 section 9.3.2).
package struct AssociateRequest: Equatable, Sendable {
    /// A bit set; bit 0 is version 1, the only one there is (PS3.8 table 9-11).
    package var protocolVersion: UInt16
    /// Whom the requestor wants: trimmed, printable ASCII only. Whether it is us is the server's question.
    package var calledAETitle: String
    /// Who the requestor says it is: trimmed, printable ASCII only.
    package var callingAETitle: String
    package var applicationContextName: String
    package var presentationContexts: [ProposedPresentationContext]
    package var userInformation: UserInformation

    /// The DICOM application context (PS3.7 annex A.2.1).
    package static let dicomApplicationContextName = "1.2.840.10008.3.1.1.1"
    /// Bytes of a body beyond which a transport should not even read on.
    package static let maximumBodyByteCount = 1 << 20

    package init(
        protocolVersion: UInt16 = 1, calledAETitle: String, callingAETitle: String,
        applicationContextName: String = AssociateRequest.dicomApplicationContextName,
        presentationContexts: [ProposedPresentationContext], userInformation: UserInformation
    ) {
        self.protocolVersion = protocolVersion
        self.calledAETitle = calledAETitle
        self.callingAETitle = callingAETitle
        self.applicationContextName = applicationContextName
        self.presentationContexts = presentationContexts
        self.userInformation = userInformation
    }

    /// Reads what follows the PDU header.
    /// - Throws: `PDUError` for anything malformed: even or repeated context IDs, lengths that lie, more than 128
    ///   contexts, UIDs over 64 characters, no application context or user information.
    package init(decodingBody bytes: UnsafeRawBufferPointer) throws(PDUError) {
        var contexts: [ProposedPresentationContext] = []
        let body = try AssociateBody(decoding: bytes, contextType: ItemType.proposedPresentationContext) {
            (item) throws(PDUError) in
            let context = try ProposedPresentationContext(decoding: item)
            contexts.append(context)
            return context.id
        }
        self.init(
            protocolVersion: body.protocolVersion, calledAETitle: body.calledAETitle,
            callingAETitle: body.callingAETitle, applicationContextName: body.applicationContextName,
            presentationContexts: contexts, userInformation: body.userInformation)
    }

    /// The whole PDU, header included. AE titles are cut to 16 characters.
    package func encoded() -> [UInt8] {
        let body = AssociateBody(
            protocolVersion: protocolVersion, calledAETitle: calledAETitle, callingAETitle: callingAETitle,
            applicationContextName: applicationContextName, userInformation: userInformation)
        return body.encoded(.associateRequest) { writer in
            for context in presentationContexts { context.append(to: &writer) }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// A-ASSOCIATE-AC, the acceptor's yes (PS3.8 section 9.3.3).
package struct AssociateAccept: Equatable, Sendable {
    package var protocolVersion: UInt16
    /// As in the request; receivers do not test it (PS3.8 table 9-17).
    package var calledAETitle: String
    /// As in the request; receivers do not test it (PS3.8 table 9-17).
    package var callingAETitle: String
    package var applicationContextName: String
    /// One answer for each proposed context.
    package var presentationContexts: [AcceptedPresentationContext]
    package var userInformation: UserInformation

    package init(
        protocolVersion: UInt16 = 1, calledAETitle: String, callingAETitle: String,
        applicationContextName: String = AssociateRequest.dicomApplicationContextName,
        presentationContexts: [AcceptedPresentationContext], userInformation: UserInformation
    ) {
        self.protocolVersion = protocolVersion
        self.calledAETitle = calledAETitle
        self.callingAETitle = callingAETitle
        self.applicationContextName = applicationContextName
        self.presentationContexts = presentationContexts
        self.userInformation = userInformation
    }

    /// Reads what follows the PDU header.
    /// - Throws: `PDUError`, for the same reasons as `AssociateRequest` and for unknown context results.
    package init(decodingBody bytes: UnsafeRawBufferPointer) throws(PDUError) {
        var contexts: [AcceptedPresentationContext] = []
        let body = try AssociateBody(decoding: bytes, contextType: ItemType.acceptedPresentationContext) {
            (item) throws(PDUError) in
            let context = try AcceptedPresentationContext(decoding: item)
            contexts.append(context)
            return context.id
        }
        self.init(
            protocolVersion: body.protocolVersion, calledAETitle: body.calledAETitle,
            callingAETitle: body.callingAETitle, applicationContextName: body.applicationContextName,
            presentationContexts: contexts, userInformation: body.userInformation)
    }

    /// The whole PDU, header included.
    package func encoded() -> [UInt8] {
        let body = AssociateBody(
            protocolVersion: protocolVersion, calledAETitle: calledAETitle, callingAETitle: callingAETitle,
            applicationContextName: applicationContextName, userInformation: userInformation)
        return body.encoded(.associateAccept) { writer in
            for context in presentationContexts { context.append(to: &writer) }
        }
    }
}

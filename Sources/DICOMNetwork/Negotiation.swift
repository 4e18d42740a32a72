// SPDX-License-Identifier: Apache-2.0

/// Deciding, as acceptor, what of a proposal to take, and, as requestor, what has been taken
/// (PS3.8 section 7.1, PS3.7 annex D.3).
package enum Negotiation {
    /// Answers a request. The AE titles are the caller's to judge before.
    /// - Throws: `AssociateReject` when there can be no association: another protocol version or application
    ///   context. Refused presentation contexts are no reason: the peer learns of them from the accept.
    package static func accept(
        _ request: AssociateRequest, policy: AcceptorPolicy
    ) throws(AssociateReject) -> (accept: AssociateAccept, association: NegotiatedAssociation) {
        // "shall only test that bit 0 is set" (PS3.8 table 9-11).
        guard request.protocolVersion & 1 == 1 else { throw .protocolVersionNotSupported }
        guard request.applicationContextName == AssociateRequest.dicomApplicationContextName else {
            throw .applicationContextNotSupported
        }
        var acceptor = Acceptor(request: request, policy: policy)
        return acceptor.answer()
    }

    /// Combines our request with the acceptor's answer.
    /// - Throws: `PDUError.unexpectedValue` when the answer accepts what was not proposed.
    package static func complete(
        request: AssociateRequest, accept: AssociateAccept
    ) throws(PDUError) -> NegotiatedAssociation {
        var contexts: [NegotiatedContext] = []
        for answer in accept.presentationContexts {
            guard let proposal = request.presentationContexts.first(where: { $0.id == answer.id }) else {
                throw .unexpectedValue("presentation context ID")
            }
            guard answer.result == .acceptance else { continue }
            guard proposal.transferSyntaxes.contains(answer.transferSyntax) else {
                throw .unexpectedValue("transfer syntax")
            }
            let roles = agreedRoles(proposal.abstractSyntax, request.userInformation, accept.userInformation)
            contexts.append(
                NegotiatedContext(
                    id: answer.id, abstractSyntax: proposal.abstractSyntax, transferSyntax: answer.transferSyntax,
                    requestorIsSCU: roles.scu, requestorIsSCP: roles.scp))
        }
        var extendedNegotiations: [String: [UInt8]] = [:]
        for answer in accept.userInformation.extendedNegotiations {
            extendedNegotiations[answer.sopClassUID] = answer.applicationInformation
        }
        return NegotiatedAssociation(
            callingAETitle: request.callingAETitle, calledAETitle: request.calledAETitle, contexts: contexts,
            peerMaximumLength: Int(accept.userInformation.maximumLength),
            operationsWindow: agreedWindow(request.userInformation, accept.userInformation),
            extendedNegotiations: extendedNegotiations, userIdentity: request.userInformation.userIdentity,
            peerImplementationClassUID: accept.userInformation.implementationClassUID,
            peerImplementationVersionName: accept.userInformation.implementationVersionName)
    }

    /// Without an answer the requestor is SCU and nothing else (PS3.7 section D.3.3.4).
    private static func agreedRoles(
        _ sopClass: String, _ proposed: UserInformation, _ answered: UserInformation
    ) -> (scu: Bool, scp: Bool) {
        guard let proposal = proposed.roleSelections.first(where: { $0.sopClassUID == sopClass }),
            let answer = answered.roleSelections.first(where: { $0.sopClassUID == sopClass })
        else { return (true, false) }
        return (proposal.scuRole && answer.scuRole, proposal.scpRole && answer.scpRole)
    }

    private static func agreedWindow(_ proposed: UserInformation, _ answered: UserInformation) -> OperationsWindow {
        guard let proposal = proposed.asynchronousOperationsWindow,
            let answer = answered.asynchronousOperationsWindow
        else { return .synchronous }
        return OperationsWindow(
            requestorMayInvoke: Int(lesser(proposal.maximumInvoked, answer.maximumInvoked)),
            acceptorMayInvoke: Int(lesser(proposal.maximumPerformed, answer.maximumPerformed)))
    }

    /// The smaller of two counts of which 0 is unlimited (PS3.7 section D.3.3.3); never 0.
    static func lesser(_ left: UInt16, _ right: UInt16) -> UInt16 {
        min(left == 0 ? .max : left, right == 0 ? .max : right)
    }
}

/// The acceptor's side of one negotiation.
private struct Acceptor {
    let request: AssociateRequest
    let policy: AcceptorPolicy
    /// The first role selection for each SOP class; more of them say nothing new.
    let proposedRoles: [String: RoleSelection]

    var answers: [AcceptedPresentationContext] = []
    var contexts: [NegotiatedContext] = []
    var acceptedSOPClasses: Set<String> = []
    var roleAnswers: [RoleSelection] = []

    /// Bytes of extended negotiation answers that leave the user information item within its 16-bit length.
    static let maximumExtendedNegotiationBytes = 32768

    init(request: AssociateRequest, policy: AcceptorPolicy) {
        self.request = request
        self.policy = policy
        proposedRoles = Dictionary(
            request.userInformation.roleSelections.map { ($0.sopClassUID, $0) },
            uniquingKeysWith: { first, _ in first })
    }

    mutating func answer() -> (accept: AssociateAccept, association: NegotiatedAssociation) {
        for context in request.presentationContexts { decide(context) }
        let extendedAnswers = answerExtendedNegotiations()
        let window = answerWindow()
        let accept = AssociateAccept(
            calledAETitle: request.calledAETitle, callingAETitle: request.callingAETitle,
            presentationContexts: answers,
            userInformation: UserInformation(
                maximumLength: policy.maximumLength, implementationClassUID: policy.implementationClassUID,
                implementationVersionName: policy.implementationVersionName,
                asynchronousOperationsWindow: window, roleSelections: roleAnswers,
                extendedNegotiations: extendedAnswers, userIdentityServerResponse: policy.userIdentityResponse))
        return (accept, association(window: window, extendedAnswers: extendedAnswers))
    }

    private mutating func decide(_ proposal: ProposedPresentationContext) {
        let support = policy.acceptsAbstractSyntax(proposal.abstractSyntax)
        guard support != .unsupported else { return refuse(proposal, .abstractSyntaxNotSupported) }
        // PS3.8 table 9-18: the service is there, its user says no.
        guard support != .refused else { return refuse(proposal, .userRejection) }
        guard let transferSyntax = TransferSyntaxChoice.choose(from: proposal.transferSyntaxes, for: support) else {
            return refuse(proposal, .transferSyntaxesNotSupported)
        }
        let roles = roles(for: proposal.abstractSyntax, support)
        // With neither role left there is nothing the context could be used for.
        guard roles.scuRole || roles.scpRole else { return refuse(proposal, .userRejection) }

        answers.append(
            AcceptedPresentationContext(id: proposal.id, result: .acceptance, transferSyntax: transferSyntax))
        contexts.append(
            NegotiatedContext(
                id: proposal.id, abstractSyntax: proposal.abstractSyntax, transferSyntax: transferSyntax,
                requestorIsSCU: roles.scuRole, requestorIsSCP: roles.scpRole))
        // One SOP class may come in several contexts, but its roles are answered once.
        if acceptedSOPClasses.insert(proposal.abstractSyntax).inserted,
            proposedRoles[proposal.abstractSyntax] != nil
        {
            roleAnswers.append(roles)
        }
    }

    private mutating func refuse(_ proposal: ProposedPresentationContext, _ result: PresentationContextResult) {
        // The transfer syntax must be there but is not significant (PS3.8 table 9-18).
        answers.append(
            AcceptedPresentationContext(
                id: proposal.id, result: result, transferSyntax: TransferSyntaxChoice.implicitVRLittleEndian))
    }

    /// PS3.7 section D.3.3.4: the acceptor may only take away from what was proposed. Storage classes go both ways,
    /// as C-GET sends its objects to the requestor; services do not.
    private func roles(for sopClass: String, _ support: AbstractSyntaxSupport) -> RoleSelection {
        let maySend = support != .storageToRequestor
        guard let proposed = proposedRoles[sopClass] else {
            return RoleSelection(sopClassUID: sopClass, scuRole: maySend, scpRole: false)
        }
        return RoleSelection(
            sopClassUID: sopClass, scuRole: proposed.scuRole && maySend,
            scpRole: proposed.scpRole && (support == .storage || support == .storageToRequestor))
    }

    private func answerExtendedNegotiations() -> [SOPClassExtendedNegotiation] {
        var answers: [SOPClassExtendedNegotiation] = []
        var answered: Set<String> = []
        var room = Self.maximumExtendedNegotiationBytes
        for proposal in request.userInformation.extendedNegotiations {
            guard acceptedSOPClasses.contains(proposal.sopClassUID), !answered.contains(proposal.sopClassUID),
                let answer = policy.extendedNegotiation(proposal), answer.applicationInformation.count <= room
            else { continue }
            answered.insert(proposal.sopClassUID)
            room -= answer.applicationInformation.count
            answers.append(answer)
        }
        return answers
    }

    /// Both numbers are the requestor's, cut down to what we can do; no item asked, none answered
    /// (PS3.7 section D.3.3.3).
    private func answerWindow() -> AsynchronousOperationsWindow? {
        guard let proposed = request.userInformation.asynchronousOperationsWindow else { return nil }
        let limit = max(1, policy.asynchronousOperationsWindowMaximum)
        return AsynchronousOperationsWindow(
            maximumInvoked: Negotiation.lesser(proposed.maximumInvoked, limit),
            maximumPerformed: Negotiation.lesser(proposed.maximumPerformed, limit))
    }

    private func association(
        window: AsynchronousOperationsWindow?, extendedAnswers: [SOPClassExtendedNegotiation]
    ) -> NegotiatedAssociation {
        NegotiatedAssociation(
            callingAETitle: request.callingAETitle, calledAETitle: request.calledAETitle, contexts: contexts,
            peerMaximumLength: Int(request.userInformation.maximumLength),
            operationsWindow: window.map {
                OperationsWindow(
                    requestorMayInvoke: Int($0.maximumInvoked), acceptorMayInvoke: Int($0.maximumPerformed))
            } ?? .synchronous,
            extendedNegotiations: Dictionary(
                extendedAnswers.map { ($0.sopClassUID, $0.applicationInformation) },
                uniquingKeysWith: { first, _ in first }),
            userIdentity: request.userInformation.userIdentity,
            peerImplementationClassUID: request.userInformation.implementationClassUID,
            peerImplementationVersionName: request.userInformation.implementationVersionName)
    }
}

// SPDX-License-Identifier: Apache-2.0

/// One accepted presentation context.
package struct NegotiatedContext: Equatable, Sendable {
    package let id: UInt8
    package let abstractSyntax: String
    package let transferSyntax: String
    /// The association requestor may invoke operations of this class (PS3.7 section D.3.3.4).
    package let requestorIsSCU: Bool
    /// The association requestor performs operations of this class: the acceptor may invoke, as C-GET needs.
    package let requestorIsSCP: Bool

    package init(
        id: UInt8, abstractSyntax: String, transferSyntax: String, requestorIsSCU: Bool, requestorIsSCP: Bool
    ) {
        self.id = id
        self.abstractSyntax = abstractSyntax
        self.transferSyntax = transferSyntax
        self.requestorIsSCU = requestorIsSCU
        self.requestorIsSCP = requestorIsSCP
    }
}

/// Operations that may be outstanding in each direction; 1 is the synchronous mode (PS3.7 section D.3.3.3).
package struct OperationsWindow: Equatable, Sendable {
    package let requestorMayInvoke: Int
    package let acceptorMayInvoke: Int

    package static let synchronous = OperationsWindow(requestorMayInvoke: 1, acceptorMayInvoke: 1)

    package init(requestorMayInvoke: Int, acceptorMayInvoke: Int) {
        self.requestorMayInvoke = requestorMayInvoke
        self.acceptorMayInvoke = acceptorMayInvoke
    }
}

/// What both sides of an established association have agreed on.
package struct NegotiatedAssociation: Equatable, Sendable {
    package let callingAETitle: String
    package let calledAETitle: String
    /// The accepted contexts, in the order of the proposal.
    package let allContexts: [NegotiatedContext]
    /// Bytes of P-DATA-TF body the peer takes; 0 is unlimited.
    package let peerMaximumLength: Int
    package let operationsWindow: OperationsWindow
    /// The acceptor's answers to extended negotiations, by SOP class.
    package let extendedNegotiations: [String: [UInt8]]
    /// What the requestor says of its user.
    package let userIdentity: UserIdentity?
    package let peerImplementationClassUID: String
    package let peerImplementationVersionName: String?

    /// By context ID, the position in `allContexts`; there are at most 128 of them, so 255 can mean none.
    private let positions: [UInt8]

    /// - Precondition: at most 128 contexts.
    package init(
        callingAETitle: String, calledAETitle: String, contexts: [NegotiatedContext], peerMaximumLength: Int,
        operationsWindow: OperationsWindow = .synchronous, extendedNegotiations: [String: [UInt8]] = [:],
        userIdentity: UserIdentity? = nil, peerImplementationClassUID: String = "",
        peerImplementationVersionName: String? = nil
    ) {
        precondition(contexts.count <= AssociateBody.maximumPresentationContexts)
        self.callingAETitle = callingAETitle
        self.calledAETitle = calledAETitle
        allContexts = contexts
        self.peerMaximumLength = peerMaximumLength
        self.operationsWindow = operationsWindow
        self.extendedNegotiations = extendedNegotiations
        self.userIdentity = userIdentity
        self.peerImplementationClassUID = peerImplementationClassUID
        self.peerImplementationVersionName = peerImplementationVersionName
        var positions = [UInt8](repeating: .max, count: 256)
        for (position, context) in contexts.enumerated() { positions[Int(context.id)] = UInt8(position) }
        self.positions = positions
    }

    /// The accepted context with this ID, nil if there is none: then the message that names it is an error.
    package func context(_ id: UInt8) -> NegotiatedContext? {
        let position = positions[Int(id)]
        return position == .max ? nil : allContexts[Int(position)]
    }
}

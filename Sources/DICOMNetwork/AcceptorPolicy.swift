// SPDX-License-Identifier: Apache-2.0

/// What an acceptor can do with one abstract syntax.
package enum AbstractSyntaxSupport: Equatable, Sendable {
    case unsupported
    /// Offered to others, but not to this requestor.
    case refused
    /// A service (verification, query, retrieve...) in these encodings, the preferred first.
    case service(transferSyntaxes: [String])
    /// A storage SOP class. Objects are kept as they come, so the proposer chooses the encoding.
    case storage
    /// The same for a requestor that may be sent objects and may send none.
    case storageToRequestor
}

/// What an acceptor offers when a peer proposes an association.
package struct AcceptorPolicy: Sendable {
    /// Bytes of P-DATA-TF body we take; 0 is unlimited.
    package var maximumLength: UInt32
    package var implementationClassUID: String
    package var implementationVersionName: String?
    /// Operations we perform at once for one peer, and operations we invoke at once on one; at least 1.
    package var asynchronousOperationsWindowMaximum: UInt16
    package var acceptsAbstractSyntax: @Sendable (String) -> AbstractSyntaxSupport
    /// The answer to a user identity that was accepted (PS3.7 section D.3.3.7.2); nil: none.
    package var userIdentityResponse: [UInt8]?
    /// The answer to a SOP class extended negotiation of an accepted SOP class, nil for none.
    package var extendedNegotiation: @Sendable (SOPClassExtendedNegotiation) -> SOPClassExtendedNegotiation?

    package init(
        maximumLength: UInt32, implementationClassUID: String, implementationVersionName: String?,
        asynchronousOperationsWindowMaximum: UInt16,
        acceptsAbstractSyntax: @escaping @Sendable (String) -> AbstractSyntaxSupport,
        extendedNegotiation: @escaping @Sendable (SOPClassExtendedNegotiation) -> SOPClassExtendedNegotiation? = {
            _ in nil
        }
    ) {
        self.maximumLength = maximumLength
        self.implementationClassUID = implementationClassUID
        self.implementationVersionName = implementationVersionName
        self.asynchronousOperationsWindowMaximum = asynchronousOperationsWindowMaximum
        self.acceptsAbstractSyntax = acceptsAbstractSyntax
        self.extendedNegotiation = extendedNegotiation
    }
}

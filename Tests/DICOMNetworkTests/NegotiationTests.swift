// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Testing

extension AcceptorPolicy {
    /// Verification and study root services, CT and MR storage; ten operations at once.
    static var test: AcceptorPolicy {
        AcceptorPolicy(
            maximumLength: 65536, implementationClassUID: "1.2.3.4", implementationVersionName: "SNIMOK_TEST",
            asynchronousOperationsWindowMaximum: 10,
            acceptsAbstractSyntax: { uid in
                switch uid {
                case UIDs.verification, UIDs.studyRootFind, UIDs.studyRootGet:
                    .service(transferSyntaxes: [UIDs.explicitLittle, UIDs.implicitLittle])
                case UIDs.ctImageStorage, UIDs.mrImageStorage: .storage
                default: .unsupported
                }
            },
            extendedNegotiation: { proposal in
                SOPClassExtendedNegotiation(
                    sopClassUID: proposal.sopClassUID,
                    applicationInformation: proposal.applicationInformation.map { $0 & 1 })
            })
    }
}

@Suite("Negotiation (PS3.8 section 7.1, PS3.7 annex D.3)")
struct NegotiationTests {
    private func request(
        _ contexts: [(UInt8, String, [String])], information: UserInformation? = nil
    ) -> AssociateRequest {
        AssociateRequest(
            calledAETitle: "SNIMOK", callingAETitle: "SCU",
            presentationContexts: contexts.map {
                ProposedPresentationContext(id: $0.0, abstractSyntax: $0.1, transferSyntaxes: $0.2)
            },
            userInformation: information ?? UserInformation(maximumLength: 16384, implementationClassUID: "1.9"))
    }

    @Test("A transfer syntax without a name is never agreed on")
    func emptyTransferSyntax() throws {
        let proposal = request([(1, UIDs.ctImageStorage, [""]), (3, UIDs.ctImageStorage, ["", "1.2.3"])])
        let (accept, association) = try Negotiation.accept(proposal, policy: .test)
        #expect(accept.presentationContexts.map(\.result) == [.transferSyntaxesNotSupported, .acceptance])
        #expect(association.allContexts.map(\.transferSyntax) == ["1.2.3"])
    }

    @Test("Each context gets its own answer")
    func contextResults() throws {
        let proposal = request([
            (1, UIDs.verification, [UIDs.implicitLittle]),
            (3, "1.2.3.4.5", [UIDs.implicitLittle]),
            (5, UIDs.studyRootFind, [UIDs.jpegBaseline]),
            (7, UIDs.ctImageStorage, []),
            (9, UIDs.ctImageStorage, [UIDs.jpegBaseline]),
        ])
        let (accept, association) = try Negotiation.accept(proposal, policy: .test)
        #expect(accept.presentationContexts.map(\.id) == [1, 3, 5, 7, 9])
        #expect(
            accept.presentationContexts.map(\.result) == [
                .acceptance, .abstractSyntaxNotSupported, .transferSyntaxesNotSupported,
                .transferSyntaxesNotSupported, .acceptance,
            ])
        #expect(accept.presentationContexts.allSatisfy { !$0.transferSyntax.isEmpty })
        #expect(association.allContexts.map(\.id) == [1, 9])
        #expect(association.context(9)?.transferSyntax == UIDs.jpegBaseline)
        #expect(association.context(3) == nil && association.context(2) == nil && association.context(255) == nil)
        #expect(association.peerMaximumLength == 16384)
        #expect(association.peerImplementationClassUID == "1.9")
        #expect(accept.userInformation.maximumLength == 65536)
    }

    @Test(
        "Storage takes the first proposed encoding, implicit VR only for want of another, private ones for want of any",
        arguments: [
            ([UIDs.implicitLittle, UIDs.explicitLittle], UIDs.explicitLittle as String?),
            ([UIDs.implicitLittle, UIDs.jpegBaseline, UIDs.explicitLittle], UIDs.jpegBaseline),
            ([UIDs.explicitLittle, UIDs.jpegBaseline], UIDs.explicitLittle),
            ([UIDs.implicitLittle], UIDs.implicitLittle),
            ([UIDs.explicitBig, UIDs.implicitLittle], UIDs.implicitLittle),
            ([UIDs.explicitBig], UIDs.explicitBig),
            (["1.2.840.113619.5.2", UIDs.implicitLittle], UIDs.implicitLittle),
            (["1.2.840.113619.5.2"], "1.2.840.113619.5.2"),
            (["1.2.840.10008.1.20", UIDs.explicitBig], UIDs.explicitBig),  // not below the root of transfer syntaxes
        ])
    func storageTransferSyntax(proposed: [String], expected: String?) throws {
        let (_, association) = try Negotiation.accept(
            request([(1, UIDs.ctImageStorage, proposed)]), policy: .test)
        #expect(association.context(1)?.transferSyntax == expected)
    }

    @Test("A service takes its own preference among those proposed")
    func serviceTransferSyntax() throws {
        let (_, association) = try Negotiation.accept(
            request([(1, UIDs.studyRootFind, [UIDs.implicitLittle, UIDs.explicitLittle])]), policy: .test)
        #expect(association.context(1)?.transferSyntax == UIDs.explicitLittle)
    }

    struct RoleCase: CustomTestStringConvertible, Sendable {
        let sopClass: String
        let proposed: (scu: Bool, scp: Bool)?
        let agreed: (scu: Bool, scp: Bool)?
        var testDescription: String { "\(sopClass) \(String(describing: proposed))" }
    }

    @Test(
        "Roles are as proposed for storage, SCU only for services, SCU only without proposal",
        arguments: [
            RoleCase(sopClass: UIDs.ctImageStorage, proposed: nil, agreed: (true, false)),
            RoleCase(sopClass: UIDs.ctImageStorage, proposed: (false, true), agreed: (false, true)),
            RoleCase(sopClass: UIDs.ctImageStorage, proposed: (true, true), agreed: (true, true)),
            RoleCase(sopClass: UIDs.ctImageStorage, proposed: (false, false), agreed: nil),
            RoleCase(sopClass: UIDs.studyRootGet, proposed: nil, agreed: (true, false)),
            RoleCase(sopClass: UIDs.studyRootGet, proposed: (true, true), agreed: (true, false)),
            RoleCase(sopClass: UIDs.studyRootGet, proposed: (false, true), agreed: nil),
        ])
    func roles(_ roleCase: RoleCase) throws {
        var information = UserInformation(maximumLength: 0, implementationClassUID: "1.9")
        if let proposed = roleCase.proposed {
            information.roleSelections = [
                RoleSelection(sopClassUID: roleCase.sopClass, scuRole: proposed.scu, scpRole: proposed.scp)
            ]
        }
        // Two contexts of one class: the roles are answered once.
        let proposal = request(
            [
                (1, roleCase.sopClass, [UIDs.explicitLittle]), (3, roleCase.sopClass, [UIDs.implicitLittle]),
            ], information: information)
        let (accept, association) = try Negotiation.accept(proposal, policy: .test)
        guard let agreed = roleCase.agreed else {
            #expect(accept.presentationContexts.map(\.result) == [.userRejection, .userRejection])
            #expect(accept.userInformation.roleSelections.isEmpty)
            return
        }
        #expect(accept.userInformation.roleSelections.count == (roleCase.proposed == nil ? 0 : 1))
        let requestorView = try Negotiation.complete(request: proposal, accept: accept)
        for context in [association.context(1), association.context(3), requestorView.context(1)] {
            #expect(context?.requestorIsSCU == agreed.scu)
            #expect(context?.requestorIsSCP == agreed.scp)
        }
    }

    @Test(
        "The operations window is the smaller of both wishes, and one without negotiation",
        arguments: [
            (nil as [UInt16]?, [1, 1]), ([1, 1], [1, 1]), ([5, 3], [5, 3]), ([0, 0], [10, 10]), ([100, 2], [10, 2]),
        ])
    func operationsWindow(proposed: [UInt16]?, expected: [Int]) throws {
        var information = UserInformation(maximumLength: 0, implementationClassUID: "1.9")
        information.asynchronousOperationsWindow = proposed.map {
            AsynchronousOperationsWindow(maximumInvoked: $0[0], maximumPerformed: $0[1])
        }
        let proposal = request([(1, UIDs.verification, [UIDs.implicitLittle])], information: information)
        let (accept, association) = try Negotiation.accept(proposal, policy: .test)
        let window = OperationsWindow(requestorMayInvoke: expected[0], acceptorMayInvoke: expected[1])
        #expect(association.operationsWindow == window)
        #expect((accept.userInformation.asynchronousOperationsWindow == nil) == (proposed == nil))
        #expect(try Negotiation.complete(request: proposal, accept: accept).operationsWindow == window)
    }

    @Test("Extended negotiation is answered for accepted classes, once each")
    func extendedNegotiation() throws {
        var information = UserInformation(maximumLength: 0, implementationClassUID: "1.9")
        information.extendedNegotiations = [
            SOPClassExtendedNegotiation(sopClassUID: UIDs.studyRootFind, applicationInformation: [1, 2, 3]),
            SOPClassExtendedNegotiation(sopClassUID: UIDs.studyRootFind, applicationInformation: [1]),
            SOPClassExtendedNegotiation(sopClassUID: UIDs.studyRootGet, applicationInformation: [1]),
        ]
        let proposal = request([(1, UIDs.studyRootFind, [UIDs.implicitLittle])], information: information)
        let (accept, association) = try Negotiation.accept(proposal, policy: .test)
        #expect(association.extendedNegotiations == [UIDs.studyRootFind: [1, 0, 1]])
        #expect(accept.userInformation.extendedNegotiations.count == 1)
        let requestorView = try Negotiation.complete(request: proposal, accept: accept)
        #expect(requestorView.extendedNegotiations == association.extendedNegotiations)
    }

    @Test("All 128 contexts can be negotiated, and looked up by ID")
    func allContexts() throws {
        let ids = stride(from: 1, through: 255, by: 2).map { UInt8($0) }
        let proposal = request(ids.map { ($0, UIDs.mrImageStorage, [UIDs.explicitLittle, UIDs.jpeg2000]) })
        let read = try withBytes(body(of: proposal.encoded()), AssociateRequest.init(decodingBody:))
        #expect(read == proposal)
        let (accept, association) = try Negotiation.accept(read, policy: .test)
        let readAccept = try withBytes(body(of: accept.encoded()), AssociateAccept.init(decodingBody:))
        #expect(readAccept == accept)
        #expect(association.allContexts.count == 128)
        for id in UInt8.min...UInt8.max { #expect(association.context(id)?.id == (id % 2 == 1 ? id : nil)) }
        #expect(try Negotiation.complete(request: proposal, accept: readAccept).allContexts == association.allContexts)
    }

    @Test("The largest answer that a request can provoke still has an encoding")
    func largestAnswer() throws {
        let classes = (0..<128).map { "1.2.840.10008.5.1.4.1.1.1234567890.1234567890.1234567890.1234567.\($0)" }
            .map { String($0.prefix(64)) }
        var information = UserInformation(maximumLength: 0, implementationClassUID: "1.9")
        information.roleSelections = classes.map { RoleSelection(sopClassUID: $0, scuRole: true, scpRole: true) }
        information.extendedNegotiations = classes.map {
            SOPClassExtendedNegotiation(sopClassUID: $0, applicationInformation: [1])
        }
        var policy = AcceptorPolicy.test
        policy.acceptsAbstractSyntax = { _ in .storage }
        policy.extendedNegotiation = {
            SOPClassExtendedNegotiation(
                sopClassUID: $0.sopClassUID, applicationInformation: [UInt8](repeating: 1, count: 2000))
        }
        let proposal = request(
            classes.enumerated().map { (UInt8($0.offset * 2 + 1), $0.element, [UIDs.explicitLittle]) },
            information: information)
        let (accept, _) = try Negotiation.accept(proposal, policy: policy)
        #expect(try withBytes(body(of: accept.encoded()), AssociateAccept.init(decodingBody:)) == accept)
    }

    @Test("Another protocol version or application context is rejected, unknown version bits are not")
    func rejections() throws {
        var proposal = request([(1, UIDs.verification, [UIDs.implicitLittle])])
        proposal.protocolVersion = 2
        #expect(throws: AssociateReject.protocolVersionNotSupported) {
            try Negotiation.accept(proposal, policy: .test)
        }
        proposal.protocolVersion = 3
        #expect(throws: Never.self) { try Negotiation.accept(proposal, policy: .test) }
        proposal.applicationContextName = "1.2.840.10008.3.1.1.2"
        #expect(throws: AssociateReject.applicationContextNotSupported) {
            try Negotiation.accept(proposal, policy: .test)
        }
    }

    @Test("A requestor does not believe answers to what it never proposed")
    func strangeAnswers() throws {
        let proposal = request([(1, UIDs.verification, [UIDs.implicitLittle])])
        var (accept, _) = try Negotiation.accept(proposal, policy: .test)
        accept.presentationContexts[0].transferSyntax = UIDs.jpeg2000
        #expect(throws: PDUError.unexpectedValue("transfer syntax")) {
            try Negotiation.complete(request: proposal, accept: accept)
        }
        accept.presentationContexts[0].id = 7
        #expect(throws: PDUError.unexpectedValue("presentation context ID")) {
            try Negotiation.complete(request: proposal, accept: accept)
        }
        // A role or a window that we did not ask for changes nothing.
        accept.presentationContexts = [
            AcceptedPresentationContext(id: 1, result: .acceptance, transferSyntax: UIDs.implicitLittle)
        ]
        accept.userInformation.roleSelections = [
            RoleSelection(sopClassUID: UIDs.verification, scuRole: false, scpRole: true)
        ]
        accept.userInformation.asynchronousOperationsWindow = AsynchronousOperationsWindow(
            maximumInvoked: 9, maximumPerformed: 9)
        let association = try Negotiation.complete(request: proposal, accept: accept)
        #expect(association.context(1)?.requestorIsSCU == true)
        #expect(association.context(1)?.requestorIsSCP == false)
        #expect(association.operationsWindow == .synchronous)
    }
}

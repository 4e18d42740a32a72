// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Glibc
import Platform
import Transport

extension FuzzTarget {
    /// The real association on a real socket: what a peer may send after the negotiation.
    static let association = FuzzTarget(
        name: "association", about: "PDUs and messages of an established association", maximumBytes: 1024,
        seeds: { SampleMessages.streams }
    ) { bytes in
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &ends) == 0 else {
            fatalError("no sockets")
        }
        defer { close(ends[1]) }
        _ = bytes.isEmpty ? 0 : write(ends[1], bytes.baseAddress, bytes.count)
        shutdown(ends[1], Int32(SHUT_WR))
        var machine = AssociationStateMachine(role: .acceptor)
        for event: AssociationStateMachine.Event in [.transportIndication, .requestReceived, .acceptByUser] {
            _ = machine.handle(event)
        }
        let association = Association(
            id: 1, socket: Socket(adopting: ends[0], isTCP: false, peer: "peer"), negotiated: SampleMessages.negotiated,
            machine: machine, caller: Caller(address: ""), limits: TransportLimits())
        let sink = CountingSink()
        do throws(TransportError) {
            while case .command(let command, let contextID) = try association.nextMessage() {
                require(association.negotiated.allContexts.count == 2, "contexts stay")
                if command.hasDataSet { try association.receiveDataSet(contextID: contextID, into: sink) }
                try association.send(CommandSet.cEchoRequest(messageID: 1), contextID: 1)
            }
            try association.confirmRelease()
        } catch {}
        require(sink.count <= bytes.count, "no more is received than was sent")
    }

    /// A-ASSOCIATE-RQ and what we answer; what is written again reads the same.
    static let negotiation = FuzzTarget(
        name: "negotiation", about: "association requests, accepts, rejects and aborts; negotiation",
        maximumBytes: 2048,
        seeds: {
            [0, 1, 2, 3].flatMap { kind in
                [[kind] + SampleMessages.associateBody, [kind, 0, 1, 1, 1]]
            }
        }
    ) { bytes in
        var input = FuzzInput(bytes)
        switch input.byte() % 4 {
        case 0: withExactCopy(input.rest, request)
        case 1: withExactCopy(input.rest, accept)
        case 2:
            guard let reject = try? AssociateReject(decodingBody: input.rest) else { return }
            let again = try? reject.encoded().withUnsafeBytes {
                try AssociateReject(decodingBody: $0.part(6..<$0.count))
            }
            require(again == reject, "a rejection reads the same again")
        default:
            guard let abort = try? Abort(decodingBody: input.rest) else { return }
            let again = try? abort.encoded().withUnsafeBytes { try Abort(decodingBody: $0.part(6..<$0.count)) }
            require(again?.source == abort.source, "an abort reads the same again")
        }
    }

    private static let policy = AcceptorPolicy(
        maximumLength: 65536, implementationClassUID: "1.2.3", implementationVersionName: "FUZZ",
        asynchronousOperationsWindowMaximum: 16,
        acceptsAbstractSyntax: { uid in
            switch uid.utf8.count % 3 {
            case 0: .unsupported
            case 1: .service(transferSyntaxes: ["1.2.840.10008.1.2"])
            default: .storage
            }
        },
        extendedNegotiation: { $0 })

    private static func request(_ bytes: UnsafeRawBufferPointer) {
        guard let request = try? AssociateRequest(decodingBody: bytes) else { return }
        let encoded = request.encoded()
        let again = try? encoded.withUnsafeBytes { try AssociateRequest(decodingBody: $0.part(6..<$0.count)) }
        require(again == request, "a request reads the same again")
        guard let (accept, association) = try? Negotiation.accept(request, policy: policy) else { return }
        let answer = accept.encoded()
        let read = try? answer.withUnsafeBytes { try AssociateAccept(decodingBody: $0.part(6..<$0.count)) }
        require(read?.presentationContexts.count == request.presentationContexts.count, "each context is answered")
        guard let read, let theirs = try? Negotiation.complete(request: request, accept: read) else {
            return require(false, "the requestor understands the answer")
        }
        require(theirs.allContexts == association.allContexts, "both sides have agreed on the same contexts")
        require(theirs.operationsWindow == association.operationsWindow, "both sides have agreed on the same window")
        for id in UInt8.min...UInt8.max {
            require(association.context(id)?.id ?? id == id, "a context is found by its own id")
        }
    }

    private static func accept(_ bytes: UnsafeRawBufferPointer) {
        guard let accept = try? AssociateAccept(decodingBody: bytes) else { return }
        let encoded = accept.encoded()
        let again = try? encoded.withUnsafeBytes { try AssociateAccept(decodingBody: $0.part(6..<$0.count)) }
        require(again == accept, "an accept reads the same again")
        let request = try? SampleMessages.associateBody.withUnsafeBytes { try AssociateRequest(decodingBody: $0) }
        if let request { _ = try? Negotiation.complete(request: request, accept: accept) }
    }

    /// Command sets; what is written again reads the same, and is written the same.
    static let command = FuzzTarget(
        name: "command", about: "command sets of DIMSE messages", maximumBytes: 512,
        seeds: { SampleMessages.commands.map { $0.encoded() } }
    ) { bytes in
        withExactCopy(bytes) { bytes in
            guard let command = try? CommandSet.decode(bytes) else { return }
            let encoded = command.encoded()
            guard let again = try? encoded.withUnsafeBytes({ try CommandSet.decode($0) }) else {
                return require(false, "what was written can be read")
            }
            // What is longer than a UID may be is cut, which may leave padding at its end.
            let uids = [
                command.affectedSOPClassUID, command.requestedSOPClassUID, command.affectedSOPInstanceUID,
                command.requestedSOPInstanceUID,
            ]
            if uids.allSatisfy({ $0.map { $0.utf8.count <= 64 } ?? true }) {
                require(again.encoded() == encoded, "a command set is written the same again")
            }
            require(again.hasDataSet == command.hasDataSet, "a data set follows or not")
            require(again.commandFieldCode == command.commandFieldCode, "the command stays the same")
        }
    }
}

private final class CountingSink: DataSetSink {
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 1)
    private(set) var count = 0
    deinit { memory.deallocate() }
    func room() -> UnsafeMutableRawBufferPointer { memory }
    func received(_ count: Int) { self.count += count }
}

private enum SampleMessages {
    static let negotiated = NegotiatedAssociation(
        callingAETitle: "FUZZ", calledAETitle: "SNIMOK",
        contexts: [
            NegotiatedContext(
                id: 1, abstractSyntax: "1.2.840.10008.1.1", transferSyntax: "1.2.840.10008.1.2", requestorIsSCU: true,
                requestorIsSCP: false),
            NegotiatedContext(
                id: 3, abstractSyntax: "1.2.840.10008.5.1.4.1.1.2", transferSyntax: "1.2.840.10008.1.2.1",
                requestorIsSCU: true, requestorIsSCP: false),
        ], peerMaximumLength: 16384)

    static let commands: [CommandSet] = {
        let store = CommandSet.cStoreRequest(
            messageID: 2, sopClassUID: "1.2.840.10008.5.1.4.1.1.2", sopInstanceUID: "1.2.3.4",
            moveOriginator: ("MOVER", 7))
        let action = CommandSet.nActionRequest(
            messageID: 5, sopClassUID: "1.2.840.10008.1.20.1", sopInstanceUID: "1.2.840.10008.1.20.1.1", actionTypeID: 1
        )
        return [
            .cEchoRequest(messageID: 1), store,
            .cFindRequest(messageID: 3, sopClassUID: "1.2.840.10008.5.1.4.1.2.2.1"),
            .cMoveRequest(messageID: 4, sopClassUID: "1.2.840.10008.5.1.4.1.2.2.2", destination: "STATION1"), action,
            .nActionResponse(to: action, status: .success, errorComment: "all is well"),
            .cCancelRequest(messageIDBeingRespondedTo: 3),
        ]
    }()

    static var streams: [[UInt8]] {
        var all: [[UInt8]] = []
        for command in commands {
            var stream: [UInt8] = []
            for maximum in [16384, 40] {
                [1, 2, 3, 4, 5, 6, 7, 8].withUnsafeBytes { (data: UnsafeRawBufferPointer) in
                    PDataWriter.appendMessage(
                        to: &stream, contextID: 3, command: command.encoded(), dataSet: command.hasDataSet ? data : nil,
                        maximumLength: maximum)
                }
            }
            all.append(stream + ReleasePDU.encodedRequest())
        }
        return all + [Abort.serviceUser.encoded(), ReleasePDU.encodedResponse(), Array("GET / HTTP/1.1\r\n\r\n".utf8)]
    }

    static let associateBody: [UInt8] = {
        let information = UserInformation(
            maximumLength: 16384, implementationClassUID: "1.2.826.0.1.999", implementationVersionName: "FUZZ_1",
            asynchronousOperationsWindow: AsynchronousOperationsWindow(maximumInvoked: 5, maximumPerformed: 1),
            roleSelections: [RoleSelection(sopClassUID: "1.2.840.10008.1.20.1", scuRole: true, scpRole: true)],
            extendedNegotiations: [
                SOPClassExtendedNegotiation(
                    sopClassUID: "1.2.840.10008.5.1.4.1.2.2.1", applicationInformation: [1, 1, 1])
            ],
            commonExtendedNegotiations: [
                SOPClassCommonExtendedNegotiation(
                    sopClassUID: "1.2.3.9", serviceClassUID: "1.2.840.10008.4.2",
                    relatedGeneralSOPClassUIDs: ["1.2.840.10008.5.1.4.1.1.2"])
            ],
            userIdentity: UserIdentity(
                type: 2, positiveResponseRequested: true, primaryField: [0x75], secondaryField: [0x70]))
        let contexts = ["1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.2.2.1"].enumerated()
            .map {
                ProposedPresentationContext(
                    id: UInt8($0.offset * 2 + 1), abstractSyntax: $0.element,
                    transferSyntaxes: ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
            }
        let request = AssociateRequest(
            calledAETitle: "SNIMOK", callingAETitle: "FUZZ", presentationContexts: contexts,
            userInformation: information)
        return Array(request.encoded().dropFirst(PDUHeader.byteCount))
    }()
}

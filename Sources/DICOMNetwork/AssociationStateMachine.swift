// SPDX-License-Identifier: Apache-2.0

/// The upper layer protocol machine of PS3.8 section 9.2: an event goes in, the actions to perform come out.
/// It holds no socket and no clock; its owner performs the actions in their order.
package struct AssociationStateMachine: Sendable {
    /// Who opened the association; decides which side of a release collision this is (action AR-8).
    package enum Role: Sendable {
        case requestor
        case acceptor
    }

    /// The states of PS3.8 tables 9-1 to 9-5; the raw values are their numbers there.
    package enum State: Int, CaseIterable, Sendable {
        /// Sta1: no association, no connection.
        case idle = 1
        /// Sta2: connection open, awaiting A-ASSOCIATE-RQ.
        case awaitingAssociateRequest = 2
        /// Sta3: awaiting the local user's answer to the request.
        case awaitingAssociateAnswerByUser = 3
        /// Sta4: awaiting the connection to open.
        case awaitingTransport = 4
        /// Sta5: awaiting A-ASSOCIATE-AC or -RJ.
        case awaitingAssociateAnswer = 5
        /// Sta6: ready for data transfer.
        case established = 6
        /// Sta7: awaiting A-RELEASE-RP.
        case awaitingReleaseResponse = 7
        /// Sta8: awaiting the local user's answer to a release request.
        case awaitingReleaseResponseByUser = 8
        /// Sta9: release collision, requestor side, awaiting the local user's answer.
        case requestorCollisionAwaitingUser = 9
        /// Sta10: release collision, acceptor side, awaiting A-RELEASE-RP.
        case acceptorCollisionAwaitingPeer = 10
        /// Sta11: release collision, requestor side, awaiting A-RELEASE-RP.
        case requestorCollisionAwaitingPeer = 11
        /// Sta12: release collision, acceptor side, awaiting the local user's answer.
        case acceptorCollisionAwaitingUser = 12
        /// Sta13: the association is over, awaiting the connection to close.
        case awaitingTransportClose = 13
    }

    /// The events of PS3.8 table 9-10, in its order.
    package enum Event: Equatable, Sendable {
        /// Evt1: A-ASSOCIATE request primitive.
        case associateRequestByUser
        /// Evt2: the connection we asked for is open.
        case transportConnected
        /// Evt3: A-ASSOCIATE-AC PDU.
        case acceptReceived
        /// Evt4: A-ASSOCIATE-RJ PDU.
        case rejectReceived
        /// Evt5: a peer has connected.
        case transportIndication
        /// Evt6: A-ASSOCIATE-RQ PDU.
        case requestReceived
        /// Evt7: A-ASSOCIATE response primitive (accept).
        case acceptByUser
        /// Evt8: A-ASSOCIATE response primitive (reject).
        case rejectByUser
        /// Evt9: P-DATA request primitive.
        case dataByUser
        /// Evt10: P-DATA-TF PDU.
        case dataReceived
        /// Evt11: A-RELEASE request primitive.
        case releaseByUser
        /// Evt12: A-RELEASE-RQ PDU.
        case releaseRequestReceived
        /// Evt13: A-RELEASE-RP PDU.
        case releaseResponseReceived
        /// Evt14: A-RELEASE response primitive.
        case releaseResponseByUser
        /// Evt15: A-ABORT request primitive.
        case abortByUser
        /// Evt16: A-ABORT PDU.
        case abortReceived
        /// Evt17: the connection is closed.
        case transportClosed
        /// Evt18: the ARTIM timer has run out.
        case artimExpired
        /// Evt19: an unrecognized or invalid PDU; the reason goes into the A-ABORT (PS3.8 table 9-26).
        case invalidPDU(reason: UInt8)
    }

    /// What the owner of the machine has to do.
    package enum Action: Equatable, Sendable {
        case connectTransport
        case sendAssociateRequest
        case sendAssociateAccept
        case sendAssociateReject
        case sendData
        case sendReleaseRequest
        case sendReleaseResponse
        case sendAbort(Abort)
        /// Start the association request/reject/release timer, anew if it runs (PS3.8 section 9.1.5).
        case startARTIM
        /// Stop it if it runs.
        case stopARTIM
        case closeTransport
        case indicateAssociate
        case confirmAccept
        case confirmReject
        case indicateData
        case indicateRelease
        case indicateReleaseCollision
        case confirmRelease
        /// The peer sent A-ABORT; its source says whether this is A-ABORT or A-P-ABORT to the user.
        case indicateAbort
        /// The association ended for a reason of the protocol or of the connection (A-P-ABORT).
        case indicateProviderAbort
        /// Drop the PDU.
        case ignore
    }

    package let role: Role
    package private(set) var state: State

    package init(role: Role, state: State = .idle) {
        self.role = role
        self.state = state
    }

    /// Takes an event and returns what to do, in order. An event that a peer, the network or a timer causes is
    /// handled in every state. A local primitive that the state does not allow is a fault of the caller and
    /// traps; `permits` tells beforehand.
    package mutating func handle(_ event: Event) -> [Action] {
        // The one transition that happens for every PDU of a transfer comes first.
        if state == .established, event == .dataReceived { return Self.dataIndication }
        guard let transition = Self.transition(in: state, on: event) else {
            precondition(!event.isLocal, "\(event) in \(state)")
            // Blank cells of table 9-10 that a peer or a late timer reaches: bytes read before the connection was
            // closed, or a timer that fired while it was being stopped. The association is past caring.
            return Self.ignored
        }
        return perform(transition, on: event)
    }

    /// Whether `handle` may be given the event now. True for everything that does not come from the local side.
    package func permits(_ event: Event) -> Bool {
        !event.isLocal || Self.transition(in: state, on: event) != nil
    }

    private static let dataIndication: [Action] = [.indicateData]
    private static let dataSending: [Action] = [.sendData]
    private static let ignored: [Action] = [.ignore]
}

extension AssociationStateMachine.Event {
    /// Caused by this program's own decision, not by peer, network or clock.
    var isLocal: Bool {
        switch self {
        case .associateRequestByUser, .transportConnected, .transportIndication, .acceptByUser, .rejectByUser,
            .dataByUser, .releaseByUser, .releaseResponseByUser, .abortByUser:
            true
        case .acceptReceived, .rejectReceived, .requestReceived, .dataReceived, .releaseRequestReceived,
            .releaseResponseReceived, .abortReceived, .transportClosed, .artimExpired, .invalidPDU:
            false
        }
    }
}

extension AssociationStateMachine {
    /// The action names of PS3.8 tables 9-6 to 9-9.
    package enum Transition: String, Sendable {
        case ae1 = "AE-1", ae2 = "AE-2", ae3 = "AE-3", ae4 = "AE-4"
        case ae5 = "AE-5", ae6 = "AE-6", ae7 = "AE-7", ae8 = "AE-8"
        case dt1 = "DT-1", dt2 = "DT-2"
        case ar1 = "AR-1", ar2 = "AR-2", ar3 = "AR-3", ar4 = "AR-4", ar5 = "AR-5"
        case ar6 = "AR-6", ar7 = "AR-7", ar8 = "AR-8", ar9 = "AR-9", ar10 = "AR-10"
        case aa1 = "AA-1", aa2 = "AA-2", aa3 = "AA-3", aa4 = "AA-4"
        case aa5 = "AA-5", aa6 = "AA-6", aa7 = "AA-7", aa8 = "AA-8"
    }

    /// The cell of PS3.8 table 9-10, row by row; nil where it is blank.
    package static func transition(in state: State, on event: Event) -> Transition? {
        switch event {
        case .associateRequestByUser: state == .idle ? .ae1 : nil
        case .transportConnected: state == .awaitingTransport ? .ae2 : nil
        case .acceptReceived: onAnswer(in: state, expected: .ae3)
        case .rejectReceived: onAnswer(in: state, expected: .ae4)
        case .transportIndication: state == .idle ? .ae5 : nil
        case .requestReceived: onRequest(in: state)
        case .acceptByUser: state == .awaitingAssociateAnswerByUser ? .ae7 : nil
        case .rejectByUser: state == .awaitingAssociateAnswerByUser ? .ae8 : nil
        case .dataByUser: onDataByUser(in: state)
        case .dataReceived: onData(in: state)
        case .releaseByUser: state == .established ? .ar1 : nil
        case .releaseRequestReceived: onReleaseRequest(in: state)
        case .releaseResponseReceived: onReleaseResponse(in: state)
        case .releaseResponseByUser: onReleaseResponseByUser(in: state)
        case .abortByUser: onAbortByUser(in: state)
        case .abortReceived: onAbort(in: state)
        case .transportClosed: onTransportClosed(in: state)
        case .artimExpired: state == .awaitingAssociateRequest || state == .awaitingTransportClose ? .aa2 : nil
        case .invalidPDU: onUnwantedPDU(in: state, afterEnd: .aa7)
        }
    }

    /// What the table says for any PDU that the state does not expect; Evt6 and Evt19 differ in Sta13.
    private static func onUnwantedPDU(in state: State, afterEnd: Transition = .aa6) -> Transition? {
        switch state {
        case .idle, .awaitingTransport: nil
        case .awaitingAssociateRequest: .aa1
        case .awaitingTransportClose: afterEnd
        default: .aa8
        }
    }

    private static func onAnswer(in state: State, expected: Transition) -> Transition? {
        state == .awaitingAssociateAnswer ? expected : onUnwantedPDU(in: state)
    }

    private static func onRequest(in state: State) -> Transition? {
        state == .awaitingAssociateRequest ? .ae6 : onUnwantedPDU(in: state, afterEnd: .aa7)
    }

    private static func onDataByUser(in state: State) -> Transition? {
        switch state {
        case .established: .dt1
        case .awaitingReleaseResponseByUser: .ar7
        default: nil
        }
    }

    private static func onData(in state: State) -> Transition? {
        switch state {
        case .established: .dt2
        case .awaitingReleaseResponse: .ar6
        default: onUnwantedPDU(in: state)
        }
    }

    private static func onReleaseRequest(in state: State) -> Transition? {
        switch state {
        case .established: .ar2
        case .awaitingReleaseResponse: .ar8
        default: onUnwantedPDU(in: state)
        }
    }

    private static func onReleaseResponse(in state: State) -> Transition? {
        switch state {
        case .awaitingReleaseResponse, .requestorCollisionAwaitingPeer: .ar3
        case .acceptorCollisionAwaitingPeer: .ar10
        default: onUnwantedPDU(in: state)
        }
    }

    private static func onReleaseResponseByUser(in state: State) -> Transition? {
        switch state {
        case .awaitingReleaseResponseByUser, .acceptorCollisionAwaitingUser: .ar4
        case .requestorCollisionAwaitingUser: .ar9
        default: nil
        }
    }

    private static func onAbortByUser(in state: State) -> Transition? {
        switch state {
        case .idle, .awaitingAssociateRequest, .awaitingTransportClose: nil
        case .awaitingTransport: .aa2
        default: .aa1
        }
    }

    private static func onAbort(in state: State) -> Transition? {
        switch state {
        case .idle, .awaitingTransport: nil
        case .awaitingAssociateRequest, .awaitingTransportClose: .aa2
        default: .aa3
        }
    }

    private static func onTransportClosed(in state: State) -> Transition? {
        switch state {
        case .idle: nil
        case .awaitingAssociateRequest: .aa5
        case .awaitingTransportClose: .ar5
        default: .aa4
        }
    }
}

extension AssociationStateMachine {
    private mutating func perform(_ transition: Transition, on event: Event) -> [Action] {
        switch transition {
        case .ae1, .ae2, .ae3, .ae4, .ae5, .ae6, .ae7, .ae8: establish(transition)
        case .dt1: go(.established, Self.dataSending)
        case .dt2: go(.established, Self.dataIndication)
        case .ar1, .ar2, .ar3, .ar4, .ar5, .ar6, .ar7, .ar8, .ar9, .ar10: release(transition)
        case .aa1, .aa2, .aa3, .aa4, .aa5, .aa6, .aa7, .aa8: abort(transition, on: event)
        }
    }

    private mutating func go(_ next: State, _ actions: [Action]) -> [Action] {
        state = next
        return actions
    }

    /// PS3.8 table 9-6.
    private mutating func establish(_ transition: Transition) -> [Action] {
        switch transition {
        case .ae1: go(.awaitingTransport, [.connectTransport])
        case .ae2: go(.awaitingAssociateAnswer, [.sendAssociateRequest])
        case .ae3: go(.established, [.confirmAccept])
        case .ae4: go(.idle, [.confirmReject, .closeTransport])
        case .ae5: go(.awaitingAssociateRequest, [.startARTIM])
        // A request unacceptable to the provider is rejected by AE-8 from Sta3: the same PDU, timer and state.
        case .ae6: go(.awaitingAssociateAnswerByUser, [.stopARTIM, .indicateAssociate])
        case .ae7: go(.established, [.sendAssociateAccept])
        default: go(.awaitingTransportClose, [.sendAssociateReject, .startARTIM])  // AE-8
        }
    }

    /// PS3.8 table 9-8.
    private mutating func release(_ transition: Transition) -> [Action] {
        switch transition {
        case .ar1: go(.awaitingReleaseResponse, [.sendReleaseRequest])
        case .ar2: go(.awaitingReleaseResponseByUser, [.indicateRelease])
        case .ar3: go(.idle, [.confirmRelease, .closeTransport])
        case .ar4: go(.awaitingTransportClose, [.sendReleaseResponse, .startARTIM])
        case .ar5: go(.idle, [.stopARTIM])
        case .ar6: go(.awaitingReleaseResponse, Self.dataIndication)
        case .ar7: go(.awaitingReleaseResponseByUser, Self.dataSending)
        case .ar8:
            go(
                role == .requestor ? .requestorCollisionAwaitingUser : .acceptorCollisionAwaitingPeer,
                [.indicateReleaseCollision])
        case .ar9: go(.requestorCollisionAwaitingPeer, [.sendReleaseResponse])
        default: go(.acceptorCollisionAwaitingUser, [.confirmRelease])  // AR-10
        }
    }

    /// PS3.8 table 9-9.
    private mutating func abort(_ transition: Transition, on event: Event) -> [Action] {
        switch transition {
        case .aa1: go(.awaitingTransportClose, [.sendAbort(.serviceUser), .startARTIM])
        case .aa2: go(.idle, [.stopARTIM, .closeTransport])
        case .aa3: go(.idle, [.indicateAbort, .closeTransport])
        case .aa4: go(.idle, [.indicateProviderAbort])
        case .aa5: go(.idle, [.stopARTIM])
        case .aa6: go(.awaitingTransportClose, Self.ignored)
        case .aa7: go(.awaitingTransportClose, [.sendAbort(Self.providerAbort(on: event))])
        default:  // AA-8
            go(
                .awaitingTransportClose,
                [.sendAbort(Self.providerAbort(on: event)), .indicateProviderAbort, .startARTIM])
        }
    }

    private static func providerAbort(on event: Event) -> Abort {
        if case .invalidPDU(let reason) = event { return Abort(source: .serviceProvider, reason: reason) }
        return .unexpectedPDU
    }
}

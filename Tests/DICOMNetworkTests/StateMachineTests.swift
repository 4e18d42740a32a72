// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Testing

private typealias Machine = AssociationStateMachine

@Suite("State machine (PS3.8 section 9.2)")
struct StateMachineTests {
    /// PS3.8 table 9-10: a row for each event, a column for each state; a dot is a blank cell.
    private static let table = """
        Evt    Sta1 Sta2 Sta3 Sta4 Sta5 Sta6 Sta7 Sta8 Sta9 Sta10 Sta11 Sta12 Sta13
        Evt1   AE-1 .    .    .    .    .    .    .    .    .     .     .     .
        Evt2   .    .    .    AE-2 .    .    .    .    .    .     .     .     .
        Evt3   .    AA-1 AA-8 .    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
        Evt4   .    AA-1 AA-8 .    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
        Evt5   AE-5 .    .    .    .    .    .    .    .    .     .     .     .
        Evt6   .    AE-6 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
        Evt7   .    .    AE-7 .    .    .    .    .    .    .     .     .     .
        Evt8   .    .    AE-8 .    .    .    .    .    .    .     .     .     .
        Evt9   .    .    .    .    .    DT-1 .    AR-7 .    .     .     .     .
        Evt10  .    AA-1 AA-8 .    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
        Evt11  .    .    .    .    .    AR-1 .    .    .    .     .     .     .
        Evt12  .    AA-1 AA-8 .    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
        Evt13  .    AA-1 AA-8 .    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3  AA-8  AA-6
        Evt14  .    .    .    .    .    .    .    AR-4 AR-9 .     .     AR-4  .
        Evt15  .    .    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1  AA-1  .
        Evt16  .    AA-2 AA-3 .    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3  AA-3  AA-2
        Evt17  .    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4  AA-4  AR-5
        Evt18  .    AA-2 .    .    .    .    .    .    .    .     .     .     AA-2
        Evt19  .    AA-1 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
        """

    private static let events: [Machine.Event] = [
        .associateRequestByUser, .transportConnected, .acceptReceived, .rejectReceived, .transportIndication,
        .requestReceived, .acceptByUser, .rejectByUser, .dataByUser, .dataReceived, .releaseByUser,
        .releaseRequestReceived, .releaseResponseReceived, .releaseResponseByUser, .abortByUser, .abortReceived,
        .transportClosed, .artimExpired, .invalidPDU(reason: 6),
    ]
    private static let localEvents = [1, 2, 5, 7, 8, 9, 11, 14, 15]

    /// PS3.8 tables 9-6 to 9-9: actions and next state. AR-8 is apart, as it depends on the role; so is the reason
    /// in the aborts of AA-7 and AA-8.
    private static func definition(_ name: String, reason: UInt8) -> ([Machine.Action], Int) {
        let abort = Machine.Action.sendAbort(Abort(source: .serviceProvider, reason: reason))
        return switch name {
        case "AE-1": ([.connectTransport], 4)
        case "AE-2": ([.sendAssociateRequest], 5)
        case "AE-3": ([.confirmAccept], 6)
        case "AE-4": ([.confirmReject, .closeTransport], 1)
        case "AE-5": ([.startARTIM], 2)
        case "AE-6": ([.stopARTIM, .indicateAssociate], 3)
        case "AE-7": ([.sendAssociateAccept], 6)
        case "AE-8": ([.sendAssociateReject, .startARTIM], 13)
        case "DT-1": ([.sendData], 6)
        case "DT-2": ([.indicateData], 6)
        case "AR-1": ([.sendReleaseRequest], 7)
        case "AR-2": ([.indicateRelease], 8)
        case "AR-3": ([.confirmRelease, .closeTransport], 1)
        case "AR-4": ([.sendReleaseResponse, .startARTIM], 13)
        case "AR-5": ([.stopARTIM], 1)
        case "AR-6": ([.indicateData], 7)
        case "AR-7": ([.sendData], 8)
        case "AR-9": ([.sendReleaseResponse], 11)
        case "AR-10": ([.confirmRelease], 12)
        case "AA-1": ([.sendAbort(.serviceUser), .startARTIM], 13)
        case "AA-2": ([.stopARTIM, .closeTransport], 1)
        case "AA-3": ([.indicateAbort, .closeTransport], 1)
        case "AA-4": ([.indicateProviderAbort], 1)
        case "AA-5": ([.stopARTIM], 1)
        case "AA-6": ([.ignore], 13)
        case "AA-7": ([abort], 13)
        case "AA-8": ([abort, .indicateProviderAbort, .startARTIM], 13)
        default: ([], 0)
        }
    }

    @Test("Every cell of table 9-10, for both roles", arguments: 1...19)
    func row(_ number: Int) throws {
        let row = Self.table.split(separator: "\n")[number].split(separator: " ").map(String.init)
        try #require(row.count == 14 && row[0] == "Evt\(number)")
        let event = Self.events[number - 1]
        for state in Machine.State.allCases {
            for role in [Machine.Role.requestor, .acceptor] {
                let cell = row[state.rawValue]
                var machine = Machine(role: role, state: state)
                #expect(Machine.transition(in: state, on: event)?.rawValue == (cell == "." ? nil : cell))
                if cell == ".", Self.localEvents.contains(number) {
                    #expect(!machine.permits(event), "\(event) in \(state)")
                    continue
                }
                #expect(machine.permits(event))
                let actions = machine.handle(event)
                switch cell {
                case ".":
                    #expect(actions == [.ignore] && machine.state == state)
                case "AR-8":
                    #expect(actions == [.indicateReleaseCollision])
                    #expect(machine.state.rawValue == (role == .requestor ? 9 : 10))
                default:
                    // Unexpected PDUs carry reason 2, invalid ones their own (PS3.8 table 9-26).
                    let expected = Self.definition(cell, reason: number == 19 ? 6 : 2)
                    #expect(actions == expected.0, "\(event) in \(state)")
                    #expect(machine.state.rawValue == expected.1, "\(event) in \(state)")
                }
            }
        }
    }

    @Test("An acceptor's ordinary association goes from idle to idle")
    func acceptorLife() {
        var machine = Machine(role: .acceptor)
        let life: [Machine.Event] = [
            .transportIndication, .requestReceived, .acceptByUser, .dataReceived, .dataByUser,
            .releaseRequestReceived, .releaseResponseByUser, .transportClosed,
        ]
        #expect(life.flatMap { machine.handle($0) }.last == .stopARTIM)
        #expect(machine.state == .idle)
    }

    @Test("Both sides of a release collision come to an end")
    func releaseCollision() {
        var requestor = Machine(role: .requestor, state: .established)
        var acceptor = Machine(role: .acceptor, state: .established)
        #expect(requestor.handle(.releaseByUser) == [.sendReleaseRequest])
        #expect(acceptor.handle(.releaseByUser) == [.sendReleaseRequest])
        #expect(requestor.handle(.releaseRequestReceived) == [.indicateReleaseCollision])
        #expect(acceptor.handle(.releaseRequestReceived) == [.indicateReleaseCollision])
        // The requestor answers first (PS3.8 section 7.2.2).
        #expect(requestor.handle(.releaseResponseByUser) == [.sendReleaseResponse])
        #expect(acceptor.handle(.releaseResponseReceived) == [.confirmRelease])
        #expect(acceptor.handle(.releaseResponseByUser) == [.sendReleaseResponse, .startARTIM])
        #expect(requestor.handle(.releaseResponseReceived) == [.confirmRelease, .closeTransport])
        #expect(acceptor.handle(.transportClosed) == [.stopARTIM])
        #expect(requestor.state == .idle && acceptor.state == .idle)
    }

    @Test("A local primitive that the state forbids is a fault that stops the program")
    func forbiddenPrimitive() async {
        await #expect(processExitsWith: .failure) {
            var machine = AssociationStateMachine(role: .acceptor)
            _ = machine.handle(.dataByUser)
        }
    }
}

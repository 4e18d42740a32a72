// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Testing

@Suite("Command sets (PS3.7 section 6.3, annex E)")
struct CommandSetTests {
    static let echoRequest = wire(
        """
        00 00 00 00 04 00 00 00 38 00 00 00                 -- group length 56
        00 00 02 00 12 00 00 00 '1.2.840.10008.1.1' 00      -- affected SOP class UID
        00 00 00 01 02 00 00 00 30 00                       -- C-ECHO-RQ
        00 00 10 01 02 00 00 00 07 00                       -- message ID 7
        00 00 00 08 02 00 00 00 01 01                       -- no data set
        """)

    @Test("C-ECHO-RQ has the bytes of the standard")
    func echo() throws {
        #expect(CommandSet.cEchoRequest(messageID: 7).encoded() == Self.echoRequest)
        let command = try withBytes(Self.echoRequest, CommandSet.decode)
        #expect(command == .cEchoRequest(messageID: 7))
        #expect(command.commandField == .cEchoRequest)
        #expect(!command.hasDataSet)
    }

    @Test("C-STORE-RQ of a C-MOVE has the bytes of the standard")
    func store() throws {
        let command = CommandSet.cStoreRequest(
            messageID: 0x0102, sopClassUID: "1.2", sopInstanceUID: "1.2.3.4", priority: .high,
            moveOriginator: (aeTitle: "MOVER", messageID: 9))
        let expected = wire(
            """
            00 00 00 00 04 00 00 00 5C 00 00 00                 -- group length 92
            00 00 02 00 04 00 00 00 '1.2' 00
            00 00 00 01 02 00 00 00 01 00
            00 00 10 01 02 00 00 00 02 01
            00 00 00 07 02 00 00 00 01 00
            00 00 00 08 02 00 00 00 01 00
            00 00 00 10 08 00 00 00 '1.2.3.4' 00
            00 00 30 10 06 00 00 00 'MOVER '
            00 00 31 10 02 00 00 00 09 00
            """)
        #expect(command.encoded() == expected)
        #expect(try withBytes(expected, CommandSet.decode) == command)
        #expect(command.hasDataSet)
    }

    static let built: [CommandSet] = [
        .cEchoRequest(messageID: 1),
        .cEchoResponse(to: 1),
        .cStoreRequest(messageID: 2, sopClassUID: UIDs.ctImageStorage, sopInstanceUID: "1.2.3"),
        .cStoreResponse(to: 2, sopClassUID: UIDs.ctImageStorage, sopInstanceUID: "1.2.3", status: .success),
        .cStoreResponse(
            to: 2, sopClassUID: UIDs.ctImageStorage, sopInstanceUID: "1.2.3", status: .dataSetDoesNotMatchSOPClass,
            offendingElements: [0x0008_0016, 0x7FE0_0010], errorComment: "SOP class UID differs"),
        .cFindRequest(messageID: 3, sopClassUID: UIDs.studyRootFind),
        .cFindResponse(to: 3, sopClassUID: UIDs.studyRootFind, status: .pending, hasDataSet: true),
        .cFindResponse(to: 3, sopClassUID: UIDs.studyRootFind, status: .success, hasDataSet: false),
        .cGetRequest(messageID: 4, sopClassUID: UIDs.studyRootGet, priority: .low),
        .cGetResponse(
            to: 4, sopClassUID: UIDs.studyRootGet, status: .pending,
            counts: SubOperationCounts(remaining: 3, completed: 2, failed: 1, warning: 0)),
        .cGetResponse(
            to: 4, sopClassUID: UIDs.studyRootGet, status: .subOperationsCompleteWithFailures,
            counts: SubOperationCounts(remaining: 0, completed: 2, failed: 1, warning: 0), hasDataSet: true),
        .cMoveRequest(messageID: 5, sopClassUID: UIDs.studyRootGet, destination: "WORKSTATION 12"),
        .cMoveResponse(
            to: 5, sopClassUID: UIDs.studyRootGet, status: .moveDestinationUnknown, counts: nil,
            errorComment: "no such destination"),
        .cCancelRequest(messageIDBeingRespondedTo: 5),
    ]

    @Test("Every message built comes back the same", arguments: built)
    func roundTrip(command: CommandSet) throws {
        let bytes = command.encoded()
        #expect(bytes.count % 2 == 0)
        #expect(try withBytes(bytes, CommandSet.decode) == command)
    }

    @Test("Remaining sub-operations are told while there can be any")
    func remaining() {
        let counts = SubOperationCounts(remaining: 3, completed: 2, failed: 1, warning: 4)
        for status in [DIMSEStatus.pending, .cancel] {
            let command = CommandSet.cMoveResponse(to: 1, sopClassUID: nil, status: status, counts: counts)
            #expect(command.numberOfRemainingSuboperations == 3)
        }
        for status in [DIMSEStatus.success, .subOperationsCompleteWithFailures, .unableToPerformSubOperations] {
            let command = CommandSet.cMoveResponse(to: 1, sopClassUID: nil, status: status, counts: counts)
            #expect(command.numberOfRemainingSuboperations == nil)
            #expect(command.numberOfWarningSuboperations == 4)
        }
    }

    @Test("Any request can be answered, known or not")
    func genericResponse() throws {
        var request = CommandSet(commandFieldCode: 0x0140, hasDataSet: true)
        request.messageID = 11
        request.requestedSOPClassUID = "1.2"
        let response = CommandSet.response(to: request, status: .unrecognizedOperation)
        #expect(response.commandField == .nCreateResponse)
        #expect(response.messageIDBeingRespondedTo == 11)
        #expect(response.affectedSOPClassUID == "1.2")
        #expect(!response.hasDataSet)

        let unknown = try withBytes(
            wire("00 00 00 01 02 00 00 00 77 00 00 00 00 08 02 00 00 00 01 01"), CommandSet.decode)
        #expect(unknown.commandField == nil && unknown.commandFieldCode == 0x0077)
    }

    @Test("Comments are cut to 64 characters of printable ASCII")
    func comments() throws {
        let long = "line\n" + String(repeating: "\u{E9}", count: 100)
        let response = CommandSet.cStoreResponse(
            to: 1, sopClassUID: nil, sopInstanceUID: nil, status: .cannotUnderstand, errorComment: long)
        let comment = try #require(try withBytes(response.encoded(), CommandSet.decode).errorComment)
        #expect(comment == "line?" + String(repeating: "?", count: 59))
    }

    @Test("A comment that is cut ends with no padding either")
    func cutComment() throws {
        var command = CommandSet.cEchoRequest(messageID: 1)
        let text = String(repeating: "a", count: 60) + "    b"
        command.errorComment = text
        // By hand, for what we write is cut already.
        var bytes = command.encoded()
        let short: [UInt8] = [0, 0, 2, 9, 64, 0, 0, 0] + text.utf8.prefix(64)
        let at = try #require(bytes.indices.first { bytes[$0...].starts(with: short) })
        bytes.replaceSubrange(at..<at + short.count, with: [0, 0, 2, 9, 66, 0, 0, 0] + text.utf8 + [0x20])
        bytes[8] += 2
        #expect(try withBytes(bytes) { try CommandSet.decode($0) }.errorComment == String(repeating: "a", count: 60))
    }

    @Test("A UID, a title or a comment of padding alone is none")
    func paddingAlone() throws {
        let command = try withBytes(
            wire(
                """
                00 00 00 01 02 00 00 00 01 00              -- (0000,0100) C-STORE-RQ
                00 00 00 06 02 00 00 00 20 20              -- (0000,0600) of spaces
                00 00 00 08 02 00 00 00 01 01              -- (0000,0800) no data set
                00 00 02 09 02 00 00 00 20 00              -- (0000,0902) of a space and NUL
                00 00 00 10 04 00 00 00 00 00 00 00        -- (0000,1000) of NUL
                """)
        ) { try CommandSet.decode($0) }
        #expect(command.affectedSOPInstanceUID == nil)
        #expect(command.moveDestination == nil)
        #expect(command.errorComment == nil)
    }

    @Test("Odd lengths, unpadded and space-padded UIDs are taken")
    func leniency() throws {
        let bytes = wire(
            """
            00 00 02 00 03 00 00 00 '1.2'
            00 00 00 01 02 00 00 00 01 00
            00 00 05 01 03 00 00 00 'abc'         -- an element nobody knows
            00 00 10 01 00 00 00 00               -- empty is absent
            00 00 00 08 02 00 00 00 00 00
            00 00 00 10 04 00 00 00 '1.3 '
            """)
        let command = try withBytes(bytes, CommandSet.decode)
        #expect(command.affectedSOPClassUID == "1.2" && command.affectedSOPInstanceUID == "1.3")
        #expect(command.messageID == nil)
        #expect(command.hasDataSet)
    }

    @Test(
        "Statuses fall into their classes (PS3.7 annex C)",
        arguments: [
            (DIMSEStatus.success, "success"), (.pending, "pending"), (.pendingWithWarning, "pending"),
            (.cancel, "cancel"), (.coercionOfDataElements, "warning"), (DIMSEStatus(rawValue: 0x0001), "warning"),
            (DIMSEStatus(rawValue: 0x0107), "warning"), (DIMSEStatus(rawValue: 0x0116), "warning"),
            (.outOfResources, "failure"), (.cannotUnderstand, "failure"), (.processingFailure, "failure"),
            (.unrecognizedOperation, "failure"), (DIMSEStatus(rawValue: 0x4242), "failure"),
        ])
    func statusClasses(status: DIMSEStatus, expected: String) {
        let classes = [
            ("success", status.isSuccess), ("pending", status.isPending), ("cancel", status.isCancel),
            ("warning", status.isWarning), ("failure", status.isFailure),
        ]
        #expect(classes.filter(\.1).map(\.0) == [expected])
    }
}

@Suite("Command sets that lie")
struct HostileCommandSetTests {
    @Test(
        "Each lie is an error of its own kind",
        arguments: [
            ("00 00 00 01 02 00 00", CommandSetError.truncated),
            ("00 00 00 01 FF FF FF FF 30 00", .invalidLength(element: 0x0100)),
            ("00 00 00 01 03 00 00 00 30 00", .invalidLength(element: 0x0100)),
            ("00 00 00 01 04 00 00 00 30 00 00 00", .invalidLength(element: 0x0100)),
            ("00 00 00 00 04 00 00 00 0B 00 00 00 00 00 00 01 02 00 00 00 30 00", .wrongGroupLength),
            ("00 00 00 00 04 00 00 00 FF FF FF FF 00 00 00 01 02 00 00 00 30 00", .wrongGroupLength),
            ("00 00 00 00 02 00 00 00 0A 00 00 00 00 01 02 00 00 00 30 00", .wrongGroupLength),
            ("08 00 16 00 00 00 00 00", .foreignGroup(8)),
            ("00 00 10 01 02 00 00 00 01 00 00 00 00 01 02 00 00 00 30 00", .outOfOrder(element: 0x0100)),
            ("00 00 00 01 02 00 00 00 30 00 00 00 00 01 02 00 00 00 30 00", .outOfOrder(element: 0x0100)),
            ("00 00 00 00 04 00 00 00 00 00 00 00", .missing(element: 0x0100)),
            ("00 00 00 01 02 00 00 00 30 00", .missing(element: 0x0800)),
            ("00 00 02 00 01 01 00 00 '1' *257", .invalidLength(element: 0x0002)),
            ("00 00 00 06 11 00 00 00 'A' *17", .invalidLength(element: 0x0600)),
            ("00 00 01 09 06 00 00 00 08 00 16 00 08 00", .invalidLength(element: 0x0901)),
            ("", .missing(element: 0x0100)),
        ])
    func lies(table: String, expected: CommandSetError) {
        #expect(throws: expected) { try withBytes(wire(table), CommandSet.decode) }
    }

    @Test("Sixty-four elements are read, sixty-five are too many")
    func manyElements() throws {
        // Numbers from 0200 on belong to no one.
        func bytes(_ count: Int) -> [UInt8] {
            wire("00 00 00 01 02 00 00 00 30 00")
                + (0..<count - 2).flatMap { wire("00 00") + [UInt8($0), 2] + wire("00 00 00 00") }
                + wire("00 00 00 08 02 00 00 00 01 01")
        }
        #expect(throws: Never.self) { try withBytes(bytes(64), CommandSet.decode) }
        #expect(throws: CommandSetError.tooManyElements) { try withBytes(bytes(65), CommandSet.decode) }
    }

    @Test("A command set cut at any byte is an error", arguments: CommandSetTests.built)
    func truncated(command: CommandSet) {
        let bytes = command.encoded()
        for count in 0..<bytes.count {
            #expect(throws: CommandSetError.self) { try withBytes(Array(bytes.prefix(count)), CommandSet.decode) }
        }
    }

    @Test("Changing any byte never traps, and what is still read can be written", arguments: CommandSetTests.built)
    func mutated(command: CommandSet) throws {
        let whole = command.encoded()
        for index in whole.indices {
            for value in [0, 1, 0x0A, 0x7F, 0x80, 0xFF, whole[index] &+ 1, whole[index] &- 1] as [UInt8] {
                var bytes = whole
                bytes[index] = value
                guard let read = try? withBytes(bytes, CommandSet.decode) else { continue }
                #expect(throws: Never.self) { try withBytes(read.encoded(), CommandSet.decode) }
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Testing

@Suite("N-ACTION and N-EVENT-REPORT (PS3.7 section 10.3)")
struct NormalizedCommandTests {
    private static let commitment = "1.2.840.10008.1.20.1"
    private static let wellKnown = "1.2.840.10008.1.20.1.1"

    @Test("N-ACTION-RQ has the bytes of the standard")
    func actionRequest() throws {
        let expected = wire(
            """
            00 00 00 00 04 00 00 00 62 00 00 00                   -- group length 98
            00 00 03 00 14 00 00 00 '1.2.840.10008.1.20.1'        -- requested SOP class UID
            00 00 00 01 02 00 00 00 30 01                         -- N-ACTION-RQ
            00 00 10 01 02 00 00 00 07 00                         -- message ID 7
            00 00 00 08 02 00 00 00 01 00                         -- a data set follows
            00 00 01 10 16 00 00 00 '1.2.840.10008.1.20.1.1'      -- requested SOP instance UID
            00 00 08 10 02 00 00 00 01 00                         -- action type 1
            """)
        let command = CommandSet.nActionRequest(
            messageID: 7, sopClassUID: Self.commitment, sopInstanceUID: Self.wellKnown, actionTypeID: 1)
        #expect(command.encoded() == expected)
        let decoded = try withBytes(expected, CommandSet.decode)
        #expect(decoded == command)
        #expect(decoded.commandField == .nActionRequest && decoded.hasDataSet)
    }

    @Test("N-ACTION-RSP names what was requested as affected, and has the bytes of the standard")
    func actionResponse() throws {
        let request = CommandSet.nActionRequest(
            messageID: 7, sopClassUID: Self.commitment, sopInstanceUID: Self.wellKnown, actionTypeID: 1)
        let expected = wire(
            """
            00 00 00 00 04 00 00 00 6C 00 00 00                   -- group length 108
            00 00 02 00 14 00 00 00 '1.2.840.10008.1.20.1'        -- affected SOP class UID
            00 00 00 01 02 00 00 00 30 81                         -- N-ACTION-RSP
            00 00 20 01 02 00 00 00 07 00                         -- responds to 7
            00 00 00 08 02 00 00 00 01 01                         -- no data set
            00 00 00 09 02 00 00 00 00 00                         -- success
            00 00 00 10 16 00 00 00 '1.2.840.10008.1.20.1.1'      -- affected SOP instance UID
            00 00 08 10 02 00 00 00 01 00                         -- action type 1
            """)
        let response = CommandSet.nActionResponse(to: request, status: .success)
        #expect(response.encoded() == expected)
        #expect(try withBytes(expected, CommandSet.decode) == response)
    }

    @Test("A refusal says why")
    func actionRefusal() throws {
        let request = CommandSet.nActionRequest(
            messageID: 9, sopClassUID: Self.commitment, sopInstanceUID: Self.wellKnown, actionTypeID: 2)
        let response = CommandSet.nActionResponse(
            to: request, status: .noSuchActionType, errorComment: "No such action")
        let decoded = try withBytes(response.encoded(), CommandSet.decode)
        #expect(decoded.status?.rawValue == 0x0123 && decoded.errorComment == "No such action")
        #expect(decoded.actionTypeID == 2)
    }

    @Test("N-EVENT-REPORT-RQ has the bytes of the standard")
    func eventRequest() throws {
        let expected = wire(
            """
            00 00 00 00 04 00 00 00 62 00 00 00                   -- group length 98
            00 00 02 00 14 00 00 00 '1.2.840.10008.1.20.1'        -- affected SOP class UID
            00 00 00 01 02 00 00 00 00 01                         -- N-EVENT-REPORT-RQ
            00 00 10 01 02 00 00 00 03 00                         -- message ID 3
            00 00 00 08 02 00 00 00 01 00                         -- a data set follows
            00 00 00 10 16 00 00 00 '1.2.840.10008.1.20.1.1'      -- affected SOP instance UID
            00 00 02 10 02 00 00 00 02 00                         -- event type 2
            """)
        let command = CommandSet.nEventReportRequest(
            messageID: 3, sopClassUID: Self.commitment, sopInstanceUID: Self.wellKnown, eventTypeID: 2)
        #expect(command.encoded() == expected)
        #expect(try withBytes(expected, CommandSet.decode) == command)
    }

    @Test("N-EVENT-REPORT-RSP has the bytes of the standard")
    func eventResponse() throws {
        let request = CommandSet.nEventReportRequest(
            messageID: 3, sopClassUID: Self.commitment, sopInstanceUID: Self.wellKnown, eventTypeID: 1)
        let expected = wire(
            """
            00 00 00 00 04 00 00 00 6C 00 00 00                   -- group length 108
            00 00 02 00 14 00 00 00 '1.2.840.10008.1.20.1'        -- affected SOP class UID
            00 00 00 01 02 00 00 00 00 81                         -- N-EVENT-REPORT-RSP
            00 00 20 01 02 00 00 00 03 00                         -- responds to 3
            00 00 00 08 02 00 00 00 01 01                         -- no data set
            00 00 00 09 02 00 00 00 00 00                         -- success
            00 00 00 10 16 00 00 00 '1.2.840.10008.1.20.1.1'      -- affected SOP instance UID
            00 00 02 10 02 00 00 00 01 00                         -- event type 1
            """)
        let response = CommandSet.nEventReportResponse(to: request, status: .success)
        #expect(response.encoded() == expected)
        #expect(try withBytes(expected, CommandSet.decode) == response)
    }
}

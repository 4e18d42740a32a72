// SPDX-License-Identifier: Apache-2.0

/// The DIMSE messages (PS3.7 annex E.1, element (0000,0100)).
package enum CommandField: UInt16, Sendable, CaseIterable {
    case cStoreRequest = 0x0001
    case cStoreResponse = 0x8001
    case cGetRequest = 0x0010
    case cGetResponse = 0x8010
    case cFindRequest = 0x0020
    case cFindResponse = 0x8020
    case cMoveRequest = 0x0021
    case cMoveResponse = 0x8021
    case cEchoRequest = 0x0030
    case cEchoResponse = 0x8030
    case nEventReportRequest = 0x0100
    case nEventReportResponse = 0x8100
    case nGetRequest = 0x0110
    case nGetResponse = 0x8110
    case nSetRequest = 0x0120
    case nSetResponse = 0x8120
    case nActionRequest = 0x0130
    case nActionResponse = 0x8130
    case nCreateRequest = 0x0140
    case nCreateResponse = 0x8140
    case nDeleteRequest = 0x0150
    case nDeleteResponse = 0x8150
    case cCancelRequest = 0x0FFF

    /// Responses are requests with the highest bit set (PS3.7 annex E.1).
    package var isResponse: Bool { rawValue & 0x8000 != 0 }
    /// The response to this request; nil for responses and for C-CANCEL, which has none.
    package var response: CommandField? {
        isResponse || self == .cCancelRequest ? nil : CommandField(rawValue: rawValue | 0x8000)
    }
}

/// How urgent the requestor finds it (PS3.7 annex E.1, element (0000,0700)).
package enum Priority: UInt16, Sendable {
    case low = 2
    case medium = 0
    case high = 1
}

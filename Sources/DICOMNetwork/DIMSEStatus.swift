// SPDX-License-Identifier: Apache-2.0

/// The status of a response (PS3.7 annex C; the service classes of PS3.4 add their own).
package struct DIMSEStatus: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let success = DIMSEStatus(rawValue: 0x0000)
    package static let cancel = DIMSEStatus(rawValue: 0xFE00)
    package static let pending = DIMSEStatus(rawValue: 0xFF00)
    /// Pending, but some optional keys were not supported (PS3.4 table C.4-1).
    package static let pendingWithWarning = DIMSEStatus(rawValue: 0xFF01)

    // PS3.7 annex C.
    package static let invalidAttributeValue = DIMSEStatus(rawValue: 0x0106)
    package static let processingFailure = DIMSEStatus(rawValue: 0x0110)
    package static let duplicateSOPInstance = DIMSEStatus(rawValue: 0x0111)
    package static let noSuchSOPInstance = DIMSEStatus(rawValue: 0x0112)
    package static let noSuchEventType = DIMSEStatus(rawValue: 0x0113)
    package static let invalidArgumentValue = DIMSEStatus(rawValue: 0x0115)
    package static let invalidObjectInstance = DIMSEStatus(rawValue: 0x0117)
    package static let noSuchSOPClass = DIMSEStatus(rawValue: 0x0118)
    package static let classInstanceConflict = DIMSEStatus(rawValue: 0x0119)
    package static let missingAttribute = DIMSEStatus(rawValue: 0x0120)
    package static let missingAttributeValue = DIMSEStatus(rawValue: 0x0121)
    package static let sopClassNotSupported = DIMSEStatus(rawValue: 0x0122)
    package static let noSuchActionType = DIMSEStatus(rawValue: 0x0123)
    package static let notAuthorized = DIMSEStatus(rawValue: 0x0124)
    package static let duplicateInvocation = DIMSEStatus(rawValue: 0x0210)
    package static let unrecognizedOperation = DIMSEStatus(rawValue: 0x0211)
    package static let mistypedArgument = DIMSEStatus(rawValue: 0x0212)
    package static let resourceLimitation = DIMSEStatus(rawValue: 0x0213)

    // PS3.4 tables B.2-1 (storage), C.4-1 (find), C.4-2 (move), C.4-3 (get).
    package static let outOfResources = DIMSEStatus(rawValue: 0xA700)
    package static let unableToCalculateMatches = DIMSEStatus(rawValue: 0xA701)
    package static let unableToPerformSubOperations = DIMSEStatus(rawValue: 0xA702)
    package static let moveDestinationUnknown = DIMSEStatus(rawValue: 0xA801)
    package static let dataSetDoesNotMatchSOPClass = DIMSEStatus(rawValue: 0xA900)
    package static let identifierDoesNotMatchSOPClass = DIMSEStatus(rawValue: 0xA900)
    package static let subOperationsCompleteWithFailures = DIMSEStatus(rawValue: 0xB000)
    package static let coercionOfDataElements = DIMSEStatus(rawValue: 0xB000)
    package static let cannotUnderstand = DIMSEStatus(rawValue: 0xC000)
    /// Of the C000-CFFF range that C-FIND, C-GET and C-MOVE have for it (PS3.4 table C.4-1).
    package static let unableToProcess = DIMSEStatus(rawValue: 0xC001)

    package var isSuccess: Bool { rawValue == 0 }
    package var isPending: Bool { rawValue == 0xFF00 || rawValue == 0xFF01 }
    package var isCancel: Bool { rawValue == 0xFE00 }
    /// PS3.7 annex C: 0001, Bxxx, attribute list error (0107), attribute value out of range (0116).
    package var isWarning: Bool {
        rawValue & 0xF000 == 0xB000 || rawValue == 0x0001 || rawValue == 0x0107 || rawValue == 0x0116
    }
    /// Everything that is nothing else: Axxx, Cxxx, 01xx, 02xx, and codes the standard does not define.
    package var isFailure: Bool { !isSuccess && !isPending && !isCancel && !isWarning }
}

extension DIMSEStatus: CustomStringConvertible {
    /// As the standard prints it: `A700H`.
    package var description: String {
        let digits = String(rawValue, radix: 16, uppercase: true)
        return String(repeating: "0", count: 4 - digits.count) + digits + "H"
    }
}

// SPDX-License-Identifier: Apache-2.0

/// The command set of a DIMSE message (PS3.7 section 6.3, elements in annex E.1): always implicit VR little endian,
/// whatever the presentation context. Parsed into fields; elements that no service here uses are skipped.
package struct CommandSet: Equatable, Sendable {
    /// (0000,0002)
    package var affectedSOPClassUID: String?
    /// (0000,0003)
    package var requestedSOPClassUID: String?
    /// (0000,0100) as received; `commandField` is the known message.
    package var commandFieldCode: UInt16
    /// (0000,0110)
    package var messageID: UInt16?
    /// (0000,0120)
    package var messageIDBeingRespondedTo: UInt16?
    /// (0000,0600)
    package var moveDestination: String?
    /// (0000,0700) as received.
    package var priority: UInt16?
    /// (0000,0800)
    package var commandDataSetType: UInt16
    /// (0000,0900)
    package var status: DIMSEStatus?
    /// (0000,0901), each tag as group << 16 | element.
    package var offendingElements: [UInt32]
    /// (0000,0902), at most 64 printable ASCII characters.
    package var errorComment: String?
    /// (0000,1000)
    package var affectedSOPInstanceUID: String?
    /// (0000,1001)
    package var requestedSOPInstanceUID: String?
    /// (0000,1002)
    package var eventTypeID: UInt16?
    /// (0000,1008)
    package var actionTypeID: UInt16?
    /// (0000,1020)
    package var numberOfRemainingSuboperations: UInt16?
    /// (0000,1021)
    package var numberOfCompletedSuboperations: UInt16?
    /// (0000,1022)
    package var numberOfFailedSuboperations: UInt16?
    /// (0000,1023)
    package var numberOfWarningSuboperations: UInt16?
    /// (0000,1030)
    package var moveOriginatorAETitle: String?
    /// (0000,1031)
    package var moveOriginatorMessageID: UInt16?

    /// No real command set comes near.
    package static let maximumElements = 64
    /// Bytes beyond which a receiver should stop collecting fragments of a command set.
    package static let maximumByteCount = 1 << 16
    /// The value of (0000,0800) that means "no data set follows" (PS3.7 annex E.1).
    package static let noDataSet: UInt16 = 0x0101
    /// What we send when one does: any other value would do.
    package static let dataSetPresent: UInt16 = 0x0001

    /// A command set with nothing but the two elements that every message has.
    package init(_ commandField: CommandField, hasDataSet: Bool) {
        self.init(commandFieldCode: commandField.rawValue, hasDataSet: hasDataSet)
    }

    /// For codes that `CommandField` does not know.
    package init(commandFieldCode: UInt16, hasDataSet: Bool) {
        self.commandFieldCode = commandFieldCode
        commandDataSetType = hasDataSet ? Self.dataSetPresent : Self.noDataSet
        offendingElements = []
    }

    /// The message; nil for a code that the standard does not define.
    package var commandField: CommandField? { CommandField(rawValue: commandFieldCode) }
    /// Whether a data set follows in the same message.
    package var hasDataSet: Bool { commandDataSetType != Self.noDataSet }
}

/// Element numbers in group 0000.
enum CommandElement {
    static let groupLength: UInt16 = 0x0000
    static let affectedSOPClassUID: UInt16 = 0x0002
    static let requestedSOPClassUID: UInt16 = 0x0003
    static let commandField: UInt16 = 0x0100
    static let messageID: UInt16 = 0x0110
    static let messageIDBeingRespondedTo: UInt16 = 0x0120
    static let moveDestination: UInt16 = 0x0600
    static let priority: UInt16 = 0x0700
    static let commandDataSetType: UInt16 = 0x0800
    static let status: UInt16 = 0x0900
    static let offendingElement: UInt16 = 0x0901
    static let errorComment: UInt16 = 0x0902
    static let affectedSOPInstanceUID: UInt16 = 0x1000
    static let requestedSOPInstanceUID: UInt16 = 0x1001
    static let eventTypeID: UInt16 = 0x1002
    static let actionTypeID: UInt16 = 0x1008
    static let numberOfRemainingSuboperations: UInt16 = 0x1020
    static let numberOfCompletedSuboperations: UInt16 = 0x1021
    static let numberOfFailedSuboperations: UInt16 = 0x1022
    static let numberOfWarningSuboperations: UInt16 = 0x1023
    static let moveOriginatorAETitle: UInt16 = 0x1030
    static let moveOriginatorMessageID: UInt16 = 0x1031

    /// LO (PS3.5 section 6.2).
    static let maximumCommentLength = 64
}

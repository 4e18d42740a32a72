// SPDX-License-Identifier: Apache-2.0

extension CommandSet {
    /// C-ECHO-RQ (PS3.7 section 9.3.5.1); the verification SOP class (PS3.4 annex A.4).
    package static func cEchoRequest(
        messageID: UInt16, sopClassUID: String = "1.2.840.10008.1.1"
    ) -> CommandSet {
        request(.cEchoRequest, messageID, sopClassUID, hasDataSet: false)
    }

    /// C-STORE-RQ (PS3.7 section 9.3.1.1).
    /// - Parameter moveOriginator: whose C-MOVE this sub-operation serves; nil for a store of its own.
    package static func cStoreRequest(
        messageID: UInt16, sopClassUID: String, sopInstanceUID: String, priority: Priority = .medium,
        moveOriginator: (aeTitle: String, messageID: UInt16)? = nil
    ) -> CommandSet {
        var command = request(.cStoreRequest, messageID, sopClassUID, hasDataSet: true)
        command.priority = priority.rawValue
        command.affectedSOPInstanceUID = sopInstanceUID
        command.moveOriginatorAETitle = moveOriginator?.aeTitle
        command.moveOriginatorMessageID = moveOriginator?.messageID
        return command
    }

    /// C-FIND-RQ (PS3.7 section 9.3.2.1); the identifier follows as data set.
    package static func cFindRequest(
        messageID: UInt16, sopClassUID: String, priority: Priority = .medium
    ) -> CommandSet {
        var command = request(.cFindRequest, messageID, sopClassUID, hasDataSet: true)
        command.priority = priority.rawValue
        return command
    }

    /// C-GET-RQ (PS3.7 section 9.3.3.1); the identifier follows as data set.
    package static func cGetRequest(
        messageID: UInt16, sopClassUID: String, priority: Priority = .medium
    ) -> CommandSet {
        var command = request(.cGetRequest, messageID, sopClassUID, hasDataSet: true)
        command.priority = priority.rawValue
        return command
    }

    /// C-MOVE-RQ (PS3.7 section 9.3.4.1); the identifier follows as data set.
    package static func cMoveRequest(
        messageID: UInt16, sopClassUID: String, destination: String, priority: Priority = .medium
    ) -> CommandSet {
        var command = request(.cMoveRequest, messageID, sopClassUID, hasDataSet: true)
        command.priority = priority.rawValue
        command.moveDestination = destination
        return command
    }

    /// C-CANCEL-RQ for the C-FIND, C-GET or C-MOVE with that message ID (PS3.7 section 9.3.2.3); it has no ID of
    /// its own and no response.
    package static func cCancelRequest(messageIDBeingRespondedTo: UInt16) -> CommandSet {
        var command = CommandSet(.cCancelRequest, hasDataSet: false)
        command.messageIDBeingRespondedTo = messageIDBeingRespondedTo
        return command
    }

    private static func request(
        _ commandField: CommandField, _ messageID: UInt16, _ sopClassUID: String, hasDataSet: Bool
    ) -> CommandSet {
        var command = CommandSet(commandField, hasDataSet: hasDataSet)
        command.messageID = messageID
        command.affectedSOPClassUID = sopClassUID
        return command
    }
}

// SPDX-License-Identifier: Apache-2.0

/// The messages of normalized services that the archive takes part in (PS3.7 section 10.3).
extension CommandSet {
    /// N-ACTION-RQ (PS3.7 section 10.3.4.1).
    /// - Parameter hasDataSet: whether the action's information follows.
    package static func nActionRequest(
        messageID: UInt16, sopClassUID: String, sopInstanceUID: String, actionTypeID: UInt16, hasDataSet: Bool = true
    ) -> CommandSet {
        var command = CommandSet(.nActionRequest, hasDataSet: hasDataSet)
        command.messageID = messageID
        command.requestedSOPClassUID = sopClassUID
        command.requestedSOPInstanceUID = sopInstanceUID
        command.actionTypeID = actionTypeID
        return command
    }

    /// N-ACTION-RSP without an action reply (PS3.7 section 10.3.4.2); class, instance and type are those of the request.
    package static func nActionResponse(
        to request: CommandSet, status: DIMSEStatus, errorComment: String? = nil
    ) -> CommandSet {
        var command = response(to: request, status: status, errorComment: errorComment)
        command.actionTypeID = request.actionTypeID
        return command
    }

    /// N-EVENT-REPORT-RQ (PS3.7 section 10.3.1.1).
    /// - Parameter hasDataSet: whether the event's information follows.
    package static func nEventReportRequest(
        messageID: UInt16, sopClassUID: String, sopInstanceUID: String, eventTypeID: UInt16, hasDataSet: Bool = true
    ) -> CommandSet {
        var command = CommandSet(.nEventReportRequest, hasDataSet: hasDataSet)
        command.messageID = messageID
        command.affectedSOPClassUID = sopClassUID
        command.affectedSOPInstanceUID = sopInstanceUID
        command.eventTypeID = eventTypeID
        return command
    }

    /// N-EVENT-REPORT-RSP without an event reply (PS3.7 section 10.3.1.2).
    package static func nEventReportResponse(
        to request: CommandSet, status: DIMSEStatus, errorComment: String? = nil
    ) -> CommandSet {
        var command = response(to: request, status: status, errorComment: errorComment)
        command.eventTypeID = request.eventTypeID
        return command
    }
}

// SPDX-License-Identifier: Apache-2.0

extension CommandSet {
    /// The response to any request, for operations that need nothing more or are not provided at all (status 0211H,
    /// PS3.7 annex C.5). SOP class and instance are those of the request. C-CANCEL-RQ is the one request that
    /// nobody answers.
    package static func response(
        to request: CommandSet, status: DIMSEStatus, errorComment: String? = nil
    ) -> CommandSet {
        var command = CommandSet(commandFieldCode: request.commandFieldCode | 0x8000, hasDataSet: false)
        command.messageIDBeingRespondedTo = request.messageID ?? 0
        command.affectedSOPClassUID = request.affectedSOPClassUID ?? request.requestedSOPClassUID
        command.affectedSOPInstanceUID = request.affectedSOPInstanceUID ?? request.requestedSOPInstanceUID
        command.status = status
        command.errorComment = errorComment
        return command
    }

    /// C-ECHO-RSP (PS3.7 section 9.3.5.2).
    package static func cEchoResponse(
        to messageID: UInt16, sopClassUID: String = "1.2.840.10008.1.1", status: DIMSEStatus = .success
    ) -> CommandSet {
        response(.cEchoResponse, messageID, sopClassUID, status, hasDataSet: false)
    }

    /// C-STORE-RSP (PS3.7 section 9.3.1.2).
    /// - Parameter offendingElements: tags as group << 16 | element.
    package static func cStoreResponse(
        to messageID: UInt16, sopClassUID: String?, sopInstanceUID: String?, status: DIMSEStatus,
        offendingElements: [UInt32] = [], errorComment: String? = nil
    ) -> CommandSet {
        var command = response(.cStoreResponse, messageID, sopClassUID, status, hasDataSet: false)
        command.affectedSOPInstanceUID = sopInstanceUID
        command.offendingElements = offendingElements
        command.errorComment = errorComment
        return command
    }

    /// C-FIND-RSP (PS3.7 section 9.3.2.2). A pending one carries a match as data set.
    package static func cFindResponse(
        to messageID: UInt16, sopClassUID: String?, status: DIMSEStatus, hasDataSet: Bool,
        offendingElements: [UInt32] = [], errorComment: String? = nil
    ) -> CommandSet {
        var command = response(.cFindResponse, messageID, sopClassUID, status, hasDataSet: hasDataSet)
        command.offendingElements = offendingElements
        command.errorComment = errorComment
        return command
    }

    /// C-GET-RSP (PS3.7 section 9.3.3.2). The data set, if there is one, lists the failed instances.
    package static func cGetResponse(
        to messageID: UInt16, sopClassUID: String?, status: DIMSEStatus, counts: SubOperationCounts?,
        hasDataSet: Bool = false, errorComment: String? = nil
    ) -> CommandSet {
        var command = response(.cGetResponse, messageID, sopClassUID, status, hasDataSet: hasDataSet)
        command.setCounts(counts, status: status)
        command.errorComment = errorComment
        return command
    }

    /// C-MOVE-RSP (PS3.7 section 9.3.4.2). The data set, if there is one, lists the failed instances.
    package static func cMoveResponse(
        to messageID: UInt16, sopClassUID: String?, status: DIMSEStatus, counts: SubOperationCounts?,
        hasDataSet: Bool = false, errorComment: String? = nil
    ) -> CommandSet {
        var command = response(.cMoveResponse, messageID, sopClassUID, status, hasDataSet: hasDataSet)
        command.setCounts(counts, status: status)
        command.errorComment = errorComment
        return command
    }

    /// "Remaining" is said while pending, may be said on cancel, and is not said at the end (PS3.4 section C.4.2.1.6).
    private mutating func setCounts(_ counts: SubOperationCounts?, status: DIMSEStatus) {
        guard let counts else { return }
        if status.isPending || status.isCancel { numberOfRemainingSuboperations = counts.remaining }
        numberOfCompletedSuboperations = counts.completed
        numberOfFailedSuboperations = counts.failed
        numberOfWarningSuboperations = counts.warning
    }

    private static func response(
        _ commandField: CommandField, _ messageID: UInt16, _ sopClassUID: String?, _ status: DIMSEStatus,
        hasDataSet: Bool
    ) -> CommandSet {
        var command = CommandSet(commandField, hasDataSet: hasDataSet)
        command.messageIDBeingRespondedTo = messageID
        command.affectedSOPClassUID = sopClassUID
        command.status = status
        return command
    }
}

// SPDX-License-Identifier: Apache-2.0
import Control
import DICOM
import DICOMNetwork
import Platform
import Transport

/// Storage commitment on one association: takes requests, and tells results while the association is idle. Runs on the
/// association's own thread.
final class CommitmentSession {
    /// Beyond 50,000 instances.
    private static let informationMaximum = 8 << 20

    private let service: CommitmentService
    private let association: Association
    private let peer: Peer
    private let mailbox = CommitmentMailbox()
    /// Of the last request: results go out on the same one.
    private var context: NegotiatedContext?
    /// One event at a time (PS3.7 section D.3.3.3), and what it tells.
    private var outstanding: (messageID: UInt16, id: Int64)?
    private var messageID: UInt16 = 0

    init(_ service: CommitmentService, _ association: Association, _ peer: Peer) {
        self.service = service
        self.association = association
        self.peer = peer
    }

    // MARK: N-ACTION

    /// Takes an N-ACTION whose data set has not been read yet, and answers it. Success means that the request is durable
    /// and its result will come.
    func request(_ command: CommandSet, _ context: NegotiatedContext) throws(TransportError) {
        let sink = MemorySink(maximumBytes: Self.informationMaximum)
        if command.hasDataSet { try association.receiveDataSet(contextID: context.id, into: sink) }
        self.context = context
        do throws(CommitmentInformation.Refusal) {
            try check(command)
            try accept(try read(command, sink, context))
        } catch {
            Log.warning(
                "storage commitment refused",
                [
                    "association": "\(association.id)", "calling": association.negotiated.callingAETitle,
                    "status": "\(error.status)", "why": error.comment,
                ])
            return try association.send(
                .nActionResponse(to: command, status: error.status, errorComment: error.comment),
                contextID: context.id)
        }
        try association.send(.nActionResponse(to: command, status: .success), contextID: context.id)
    }

    /// PS3.7 section 10.1.4.1.10.
    private func check(_ command: CommandSet) throws(CommitmentInformation.Refusal) {
        guard command.requestedSOPClassUID == StorageCommitment.sopClassUID else {
            throw .init(status: .noSuchSOPClass, comment: "Only for the Storage Commitment Push Model")
        }
        guard command.requestedSOPInstanceUID == StorageCommitment.wellKnownInstanceUID else {
            throw .init(status: .noSuchSOPInstance, comment: "Not the well-known instance")
        }
        guard command.actionTypeID == StorageCommitment.requestAction else {
            throw .init(status: .noSuchActionType, comment: "The only action type is 1")
        }
    }

    private func read(
        _ command: CommandSet, _ sink: MemorySink, _ context: NegotiatedContext
    ) throws(CommitmentInformation.Refusal) -> CommitmentInformation {
        guard command.hasDataSet else {
            throw .init(status: .missingAttribute, comment: "Action Information is missing")
        }
        guard !sink.isOverfull else {
            throw .init(status: .resourceLimitation, comment: "Action Information is longer than 8 MiB")
        }
        let syntax = TransferSyntax(uid: context.transferSyntax)
        // Parsed, a request takes many times its bytes, so one is parsed at a time.
        return try service.parsing.withLock { _ throws(CommitmentInformation.Refusal) in
            let dataSet: DataSet
            do {
                dataSet = try sink.bytes.withRawBytes { bytes throws(DataSetError) in
                    try DataSet(bytes, transferSyntax: syntax)
                }
            } catch { throw .init(status: .processingFailure, comment: "\(error)") }
            return try CommitmentInformation(dataSet)
        }
    }

    private func accept(_ information: CommitmentInformation) throws(CommitmentInformation.Refusal) {
        let request = CommitmentRequest(
            transactionUID: information.transactionUID, aeTitle: association.negotiated.callingAETitle,
            calledAETitle: association.negotiated.calledAETitle, organisation: peer.organisation,
            peerAddress: association.peerAddress, receivedAtNanoseconds: Clock.wallNanoseconds(),
            references: information.references)
        let isAccepted: Bool
        do { isAccepted = try service.accept(request, mailbox) } catch {
            Log.error("storage commitment cannot be written down", ["why": "\(error)"])
            throw .init(
                status: error.kind == .full ? .resourceLimitation : .processingFailure,
                comment: "The archive cannot write the request down")
        }
        guard isAccepted else {
            throw .init(status: .resourceLimitation, comment: "Too many requests of this station are pending")
        }
    }

    // MARK: N-EVENT-REPORT

    /// Sends the next result, if there is one and none is unanswered. To be called between messages only, when nothing else
    /// is going on on the association.
    func tellNext() throws(TransportError) {
        guard outstanding == nil, let context else { return }
        while let id = mailbox.next() {
            guard let report = service.report(id) else { continue }
            messageID &+= 1
            outstanding = (messageID, id)
            try report.encoded(transferSyntaxUID: context.transferSyntax).withRawBytes {
                bytes throws(TransportError) in
                try association.send(report.command(messageID: messageID), contextID: context.id, dataSet: bytes)
            }
            return
        }
    }

    /// Takes an N-EVENT-REPORT-RSP, whose data set, if there is one, has not been read yet.
    /// - Returns: false: nobody asked for it.
    func take(_ response: CommandSet) throws(TransportError) -> Bool {
        guard let (messageID, id) = outstanding, let context, response.messageIDBeingRespondedTo == messageID else {
            return false
        }
        outstanding = nil
        if response.hasDataSet {
            try association.receiveDataSet(contextID: context.id, into: MemorySink(maximumBytes: 0))
        }
        service.told(id, response, association: association.id)
        return true
    }

    /// The association has ended: what was not told or not answered goes other ways.
    func close() {
        let ids = mailbox.close() + (outstanding.map { [$0.id] } ?? [])
        outstanding = nil
        service.returned(ids)
    }
}

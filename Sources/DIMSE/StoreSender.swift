// SPDX-License-Identifier: Apache-2.0
import DICOM
import DICOMNetwork
import Platform
import Transport

/// Sends instances to an archive by C-STORE, several outstanding at a time: the importer's and the load generator's
/// side of an association.
package final class StoreSender {
    /// One instance to be sent.
    package struct Instance {
        package let sopClassUID: String
        package let sopInstanceUID: String
        package let transferSyntaxUID: String

        package init(sopClassUID: String, sopInstanceUID: String, transferSyntaxUID: String) {
            self.sopClassUID = sopClassUID
            self.sopInstanceUID = sopInstanceUID
            self.transferSyntaxUID = transferSyntaxUID
        }
    }

    package struct Answer {
        package let sopInstanceUID: String
        package let status: DIMSEStatus
        package let comment: String
        /// From the first byte sent, or from when it should have been sent, to the response read.
        package let nanoseconds: UInt64
    }

    private struct Kind: Hashable {
        let sopClassUID: String
        let transferSyntaxUID: String
    }

    private let endpoint: Endpoint
    private let tls: TLSConnector?
    private let callingAETitle: String
    private let calledAETitle: String
    private let window: Int
    private var association: Association?
    private var kinds: [Kind] = []
    private var outstanding: [UInt16: (uid: String, sentAt: UInt64)] = [:]
    private var messageID: UInt16 = 0
    private let onAnswer: (Answer) -> Void

    /// - Parameters:
    ///   - window: how many instances may be without an answer (1: one after the other).
    ///   - tls: nil: in the clear.
    ///   - onAnswer: told each response, in the order in which they come.
    package init(
        _ endpoint: Endpoint, tls: TLSConnector? = nil, callingAETitle: String, calledAETitle: String,
        window: Int, onAnswer: @escaping (Answer) -> Void
    ) {
        self.endpoint = endpoint
        self.tls = tls
        self.callingAETitle = callingAETitle
        self.calledAETitle = calledAETitle
        self.window = max(1, window)
        self.onAnswer = onAnswer
    }

    /// Sends one instance; `body` hands out its data set piece by piece and says which piece is the last.
    /// - Parameter due: on the monotonic clock, when it should be sent; answers are read until then.
    /// - Returns: false if the archive takes no such instances.
    package func send(
        _ instance: Instance, due: UInt64? = nil,
        _ body: ((UnsafeRawBufferPointer, _ isLast: Bool) throws(TransportError) -> Void) throws(TransportError) -> Void
    ) throws(TransportError) -> Bool {
        let association = try associate(
            for: Kind(sopClassUID: instance.sopClassUID, transferSyntaxUID: instance.transferSyntaxUID))
        guard
            let context = association.negotiated.allContexts.first(where: {
                $0.abstractSyntax == instance.sopClassUID && $0.transferSyntax == instance.transferSyntaxUID
            })
        else { return false }
        let limit = min(window, max(1, association.negotiated.operationsWindow.requestorMayInvoke))
        while outstanding.count >= limit || association.hasInput() && !outstanding.isEmpty {
            try readAnswer(association)
        }
        if let due { try wait(until: due, association) }
        repeat { messageID &+= 1 } while outstanding[messageID] != nil
        outstanding[messageID] = (instance.sopInstanceUID, due ?? Clock.monotonicNanoseconds())
        association.queue(
            .cStoreRequest(
                messageID: messageID, sopClassUID: instance.sopClassUID, sopInstanceUID: instance.sopInstanceUID),
            contextID: context.id)
        try body { piece, isLast throws(TransportError) in
            try association.sendDataSet(piece, contextID: context.id, isLast: isLast)
        }
        return true
    }

    /// Waits for all answers and releases the association.
    package func finish() throws(TransportError) {
        guard let association else { return }
        while !outstanding.isEmpty { try readAnswer(association) }
        try association.release()
        self.association = nil
    }

    private func wait(until due: UInt64, _ association: Association) throws(TransportError) {
        while !outstanding.isEmpty, association.hasInput(until: due) { try readAnswer(association) }
        Clock.sleep(until: due)
    }

    private func readAnswer(_ association: Association) throws(TransportError) {
        guard case .command(let response, _) = try association.nextMessage(), response.commandField == .cStoreResponse,
            let id = response.messageIDBeingRespondedTo, let sent = outstanding.removeValue(forKey: id)
        else {
            association.abort()
            throw .protocolViolation(.unexpectedPDU, "the archive answered something else than a store")
        }
        onAnswer(
            Answer(
                sopInstanceUID: sent.uid, status: response.status ?? .processingFailure,
                comment: response.errorComment ?? "", nanoseconds: Clock.monotonicNanoseconds() - sent.sentAt))
    }

    /// An association in which this kind was proposed; one that lacks it is released and opened anew.
    private func associate(for kind: Kind) throws(TransportError) -> Association {
        if let association, kinds.contains(kind) { return association }
        try finish()
        // The kinds seen last stay: folders mix them.
        kinds = [kind] + kinds.prefix(127)
        let request = AssociateRequest(
            calledAETitle: calledAETitle, callingAETitle: callingAETitle,
            presentationContexts: kinds.enumerated().map { index, kind in
                ProposedPresentationContext(
                    id: UInt8(index * 2 + 1), abstractSyntax: kind.sopClassUID,
                    transferSyntaxes: [kind.transferSyntaxUID])
            },
            userInformation: UserInformation(
                maximumLength: 1 << 20, implementationClassUID: FileMeta.implementationClassUID,
                implementationVersionName: FileMeta.implementationVersionName,
                asynchronousOperationsWindow: AsynchronousOperationsWindow(
                    maximumInvoked: UInt16(clamping: window), maximumPerformed: 1)))
        let opened = try Requestor.associate(with: endpoint, tls: tls, request, limits: TransportLimits())
        association = opened
        return opened
    }
}

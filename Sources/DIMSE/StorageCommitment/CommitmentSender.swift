// SPDX-License-Identifier: Apache-2.0
import Control
import DICOM
import DICOMNetwork
import Transport

/// Tells results on an association that the archive opens to whoever asked. The archive, which requests the association, is
/// the SCP of the service, and proposes that role (PS3.7 section D.3.3.4, PS3.4 section J.3.3). Stations that do not answer
/// the role selection are told all the same: many take events without it.
struct CommitmentSender {
    private static let connectSeconds = 15.0
    private static let answerSeconds = 30.0

    /// What became of one attempt.
    struct Failure: Error {
        let why: String
    }

    private let association: Association
    private let context: NegotiatedContext
    private var messageID: UInt16 = 0

    /// Opens the association.
    /// - Parameter callingAETitle: by which the station called the archive.
    init(
        to peer: Peer, callingAETitle: String, settings: ServiceSettings
    ) throws(Failure) {
        guard let host = peer.host, let port = peer.port else {
            throw Failure(why: "no host and port configured for \(peer.aeTitle)")
        }
        var limits = settings.limits
        limits.idleSeconds = Self.answerSeconds
        do throws(TransportError) {
            association = try Requestor.associate(
                with: .tcp(host: host, port: port), tls: try settings.connector(to: peer),
                Self.proposal(peer.aeTitle, callingAETitle, UInt32(limits.maximumPDULength)), limits: limits,
                withinSeconds: Self.connectSeconds)
        } catch { throw Failure(why: "\(error)") }
        association.rates = settings.rates(of: peer)
        guard let context = association.negotiated.allContexts.first else {
            try? association.release()
            throw Failure(why: "\(peer.aeTitle) does not take part in storage commitment on this association")
        }
        self.context = context
    }

    private static func proposal(_ called: String, _ calling: String, _ maximumLength: UInt32) -> AssociateRequest {
        AssociateRequest(
            calledAETitle: called, callingAETitle: calling,
            presentationContexts: [
                ProposedPresentationContext(
                    id: 1, abstractSyntax: StorageCommitment.sopClassUID,
                    transferSyntaxes: [
                        TransferSyntax.explicitVRLittleEndian.uid, TransferSyntax.implicitVRLittleEndian.uid,
                    ])
            ],
            userInformation: UserInformation(
                maximumLength: maximumLength, implementationClassUID: FileMeta.implementationClassUID,
                implementationVersionName: FileMeta.implementationVersionName,
                roleSelections: [
                    RoleSelection(sopClassUID: StorageCommitment.sopClassUID, scuRole: false, scpRole: true)
                ]))
    }

    /// Tells one result and waits for the answer to it.
    mutating func tell(_ report: CommitmentReport) throws(Failure) -> CommandSet {
        messageID &+= 1
        do throws(TransportError) {
            let bytes = report.encoded(transferSyntaxUID: context.transferSyntax)
            try bytes.withRawBytes { bytes throws(TransportError) in
                try association.send(report.command(messageID: messageID), contextID: context.id, dataSet: bytes)
            }
            guard case .command(let response, _) = try association.nextMessage(),
                response.commandField == .nEventReportResponse, response.messageIDBeingRespondedTo == messageID
            else {
                association.abort()
                throw .protocolViolation(.unexpectedPDU, "the event was not answered")
            }
            if response.hasDataSet {
                try association.receiveDataSet(contextID: context.id, into: MemorySink(maximumBytes: 0))
            }
            return response
        } catch { throw Failure(why: "\(error)") }
    }

    func release() { try? association.release() }
}

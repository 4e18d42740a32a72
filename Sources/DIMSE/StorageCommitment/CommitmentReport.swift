// SPDX-License-Identifier: Apache-2.0
import Control
import DICOM
import DICOMNetwork

/// The result of a request as an event and its data set (PS3.4 section J.3.3, table J.3-2).
struct CommitmentReport {
    private let request: CommitmentRequest
    private let retrieveAETitle: String
    private let committed: [CommitmentReference]
    private let failed: [CommitmentReference]

    /// - Parameter retrieveAETitle: of the archive, where the committed instances can be had.
    init(_ request: CommitmentRequest, retrieveAETitle: String) {
        self.request = request
        self.retrieveAETitle = retrieveAETitle
        committed = request.references.filter { $0.failure == StorageCommitment.FailureReason.committed }
        failed = request.references.filter { $0.failure != StorageCommitment.FailureReason.committed }
    }

    var eventTypeID: UInt16 {
        failed.isEmpty ? StorageCommitment.allCommitted : StorageCommitment.failuresExist
    }

    func command(messageID: UInt16) -> CommandSet {
        .nEventReportRequest(
            messageID: messageID, sopClassUID: StorageCommitment.sopClassUID,
            sopInstanceUID: StorageCommitment.wellKnownInstanceUID, eventTypeID: eventTypeID)
    }

    func encoded(transferSyntaxUID: String) -> [UInt8] {
        var writer = DataSetWriter(transferSyntax: TransferSyntax(uid: transferSyntaxUID))
        // The order of the tags.
        writer.append(.retrieveAETitle, .ae, text: retrieveAETitle)
        writer.append(.transactionUID, .ui, text: request.transactionUID)
        if !failed.isEmpty {
            writer.beginSequence(.failedSOPSequence)
            for reference in failed { append(reference, to: &writer) }
            writer.endSequence()
        }
        if !committed.isEmpty {
            writer.beginSequence(.referencedSOPSequence)
            for reference in committed { append(reference, to: &writer) }
            writer.endSequence()
        }
        return writer.bytes
    }

    private func append(_ reference: CommitmentReference, to writer: inout DataSetWriter) {
        writer.beginItem()
        writer.append(.referencedSOPClassUID, .ui, text: reference.sopClassUID)
        writer.append(.referencedSOPInstanceUID, .ui, text: reference.sopInstanceUID)
        let failure = reference.failure ?? StorageCommitment.FailureReason.processingFailure
        if failure != StorageCommitment.FailureReason.committed {
            writer.append(.failureReason, unsignedShort: failure)
        }
        writer.endItem()
    }
}

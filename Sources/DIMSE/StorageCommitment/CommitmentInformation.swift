// SPDX-License-Identifier: Apache-2.0
import Control
import DICOM
import DICOMNetwork

/// The data set of a request (PS3.4 table J.3-1).
struct CommitmentInformation {
    /// Why a request is refused.
    struct Refusal: Error {
        let status: DIMSEStatus
        let comment: String
    }

    let transactionUID: String
    let references: [CommitmentReference]

    init(_ dataSet: DataSet) throws(Refusal) {
        transactionUID = try Self.uid(.transactionUID, "Transaction UID", in: dataSet)
        guard let sequence = dataSet[.referencedSOPSequence] else {
            throw Refusal(status: .missingAttribute, comment: "Referenced SOP Sequence is missing")
        }
        let items = sequence.items ?? []
        // PS3.4 table J.3-1: one or more items.
        guard !items.isEmpty else {
            throw Refusal(status: .missingAttributeValue, comment: "Referenced SOP Sequence has no items")
        }
        var references: [CommitmentReference] = []
        references.reserveCapacity(items.count)
        for item in items {
            references.append(
                CommitmentReference(
                    sopClassUID: try Self.uid(.referencedSOPClassUID, "Referenced SOP Class UID", in: item),
                    sopInstanceUID: try Self.uid(.referencedSOPInstanceUID, "Referenced SOP Instance UID", in: item)))
        }
        self.references = references
    }

    /// Faulty UIDs are taken here as they are taken by C-STORE.
    private static func uid(_ tag: Tag, _ name: String, in dataSet: DataSet) throws(Refusal) -> String {
        guard let element = dataSet[tag] else {
            throw Refusal(status: .missingAttribute, comment: "\(name) is missing")
        }
        let uid = element.plainValue
        guard !uid.isEmpty else { throw Refusal(status: .missingAttributeValue, comment: "\(name) is empty") }
        guard UIDGrammar.check(uid) != .unacceptable else {
            throw Refusal(status: .invalidAttributeValue, comment: "\(name) is no UID")
        }
        return uid
    }
}

extension Tag {
    static let transactionUID = Tag(0x0008_1195)
}

// SPDX-License-Identifier: Apache-2.0

/// How far a request for storage commitment has come.
package enum CommitmentState: Int64, Sendable {
    /// Acknowledged; its instances are still to be verified.
    case accepted = 0
    /// The result stands and is still to be told.
    case verified = 1
    /// Whoever asked has acknowledged the result.
    case reported = 2
    /// The result could not be told in the time allowed.
    case givenUp = 3
}

/// One instance that a request names.
package struct CommitmentReference: Equatable, Sendable {
    package var sopClassUID: String
    package var sopInstanceUID: String
    /// Failure Reason (0008,1197); nil: not verified yet, 0: committed.
    package var failure: UInt16?

    package init(sopClassUID: String, sopInstanceUID: String, failure: UInt16? = nil) {
        self.sopClassUID = sopClassUID
        self.sopInstanceUID = sopInstanceUID
        self.failure = failure
    }
}

/// A request for storage commitment as it came.
package struct CommitmentRequest: Equatable, Sendable {
    /// Transaction UID (0008,1195), the asker's own.
    package var transactionUID: String
    /// Who asks, and is told the result.
    package var aeTitle: String
    /// What it called the archive.
    package var calledAETitle: String
    /// For which organisation it stores.
    package var organisation: String
    /// Where it called from; for the log only, results go to configured addresses.
    package var peerAddress: String
    /// Since 1970.
    package var receivedAtNanoseconds: Int64
    package var references: [CommitmentReference]

    package init(
        transactionUID: String, aeTitle: String, calledAETitle: String, organisation: String, peerAddress: String,
        receivedAtNanoseconds: Int64, references: [CommitmentReference]
    ) {
        self.transactionUID = transactionUID
        self.aeTitle = aeTitle
        self.calledAETitle = calledAETitle
        self.organisation = organisation
        self.peerAddress = peerAddress
        self.receivedAtNanoseconds = receivedAtNanoseconds
        self.references = references
    }
}

/// A request that is neither reported nor given up, without its instances.
package struct PendingCommitment: Equatable, Sendable {
    package let id: Int64
    package let aeTitle: String
    package let calledAETitle: String
    package let state: CommitmentState
    package let receivedAtNanoseconds: Int64
    /// Attempts at telling the result that have failed.
    package let attempts: Int
    /// Since 1970.
    package let nextAttemptNanoseconds: Int64
}

/// What became of a request that was handed in.
package enum CommitmentAddition: Equatable, Sendable {
    /// It is to be verified.
    case added(id: Int64)
    /// The same request, of the same asker, is pending already.
    case known(id: Int64)
    /// The asker has a pending request for other instances under the same transaction UID; this one has failed as a whole,
    /// and that is still to be told.
    case duplicate(id: Int64)
    /// The asker has too many requests or instances pending.
    case tooMany
}

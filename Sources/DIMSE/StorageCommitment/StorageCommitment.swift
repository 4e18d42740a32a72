// SPDX-License-Identifier: Apache-2.0

/// Names and numbers of the Storage Commitment Push Model (PS3.4 annex J).
enum StorageCommitment {
    static let sopClassUID = "1.2.840.10008.1.20.1"
    /// The one instance there is, which every request addresses.
    static let wellKnownInstanceUID = "1.2.840.10008.1.20.1.1"
    /// Action type of a request (PS3.4 section J.3.2).
    static let requestAction: UInt16 = 1
    /// Event types of the result (PS3.4 section J.3.3): all committed, or not all.
    static let allCommitted: UInt16 = 1
    static let failuresExist: UInt16 = 2

    /// Failure Reason (0008,1197) of one instance (PS3.3 section C.14.1.1).
    enum FailureReason {
        static let committed: UInt16 = 0
        static let processingFailure: UInt16 = 0x0110
        static let noSuchObjectInstance: UInt16 = 0x0112
        static let classInstanceConflict: UInt16 = 0x0119
        static let sopClassNotSupported: UInt16 = 0x0122
        static let duplicateTransactionUID: UInt16 = 0x0131
    }
}

/// How storage commitment is done.
package struct CommitmentSettings: Sendable {
    package var isEnabled = true
    /// Until a result that could not be told is told again; doubled with each attempt, up to an hour.
    package var retrySeconds = 60.0
    /// After the request, when a result that could not be told is given up.
    package var giveUpSeconds = 72.0 * 3600

    package init() {}
}

// SPDX-License-Identifier: Apache-2.0

/// One stored content of an instance, with all it takes to find and send it.
package struct CatalogVersion: Hashable, Sendable {
    package let sopClassUID: String
    package let sopInstanceUID: String
    package let seriesInstanceUID: String
    package let studyInstanceUID: String
    package let transferSyntaxUID: String
    package let blobID: [UInt8]
    package let location: CatalogLocation
    package let dataSetLength: UInt64
    /// Of the record that first brought this content.
    package let sequence: UInt64
    package let receivedAtNanoseconds: Int64
    /// Who first sent this content, and to whom.
    package let organisation: String
    package let callingAETitle: String
    package let calledAETitle: String
    package let flags: UInt32
    /// Other contents of the same SOP Instance UID are stored too.
    package let isConflicting: Bool
}

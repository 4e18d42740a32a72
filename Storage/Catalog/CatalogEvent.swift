// SPDX-License-Identifier: Apache-2.0

/// What one record of the log tells the catalog.
package enum CatalogEvent: Sendable {
    case instance(CatalogInstance)
    case sighting(CatalogSighting)
    /// A record of a kind that the catalog has nothing to learn from; it only moves the position.
    case other(sequence: UInt64)

    package var sequence: UInt64 {
        switch self {
        case .instance(let instance): instance.sequence
        case .sighting(let sighting): sighting.sequence
        case .other(let sequence): sequence
        }
    }
}

/// Content that was received again and not stored again.
package struct CatalogSighting: Sendable {
    package var sequence: UInt64
    package var receivedAtNanoseconds: Int64
    package var source: CatalogSource
    package var blobID: [UInt8]

    package init(sequence: UInt64, receivedAtNanoseconds: Int64, source: CatalogSource, blobID: [UInt8]) {
        self.sequence = sequence
        self.receivedAtNanoseconds = receivedAtNanoseconds
        self.source = source
        self.blobID = blobID
    }
}

/// How far the log has been applied.
package struct CatalogPosition: Hashable, Sendable {
    /// Below 2⁶³.
    package var sequence: UInt64
    package var writer: UInt32
    package var segment: UInt32
    /// Where the next record begins.
    package var endOffset: UInt64

    package init(sequence: UInt64, writer: UInt32, segment: UInt32, endOffset: UInt64) {
        self.sequence = sequence
        self.writer = writer
        self.segment = segment
        self.endOffset = endOffset
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Where a record lies in the log.
package struct CatalogLocation: Hashable, Sendable {
    package var writer: UInt32
    package var segment: UInt32
    /// Of the record, within the segment; below 2⁶³.
    package var offset: UInt64
    /// Of the whole record.
    package var length: UInt64

    package init(writer: UInt32, segment: UInt32, offset: UInt64, length: UInt64) {
        self.writer = writer
        self.segment = segment
        self.offset = offset
        self.length = length
    }
}

// SPDX-License-Identifier: Apache-2.0

/// The six bytes in front of each fragment of a message (PS3.8 section 9.3.5.1 and annex E.2).
package struct PDVHeader: Equatable, Sendable {
    /// How many bytes the header takes on the wire.
    package static let byteCount = 6

    /// Bytes that follow the length field: context ID, message control header, fragment.
    package let itemLength: UInt32
    package let contextID: UInt8
    /// Bit 0 of the message control header: the fragment belongs to a command set, not to a data set.
    package let isCommand: Bool
    /// Bit 1: it is the last one of that set.
    package let isLast: Bool

    /// Bytes of the fragment; nil when the announced length has no room for ID and control header.
    package var fragmentLength: Int? { itemLength < 2 ? nil : Int(itemLength) - 2 }

    /// A header for a fragment of `fragmentLength` bytes.
    package init(fragmentLength: Int, contextID: UInt8, isCommand: Bool, isLast: Bool) {
        itemLength = UInt32(fragmentLength + 2)
        self.contextID = contextID
        self.isCommand = isCommand
        self.isLast = isLast
    }

    /// Reads the first six bytes; nil when there are fewer.
    package init?(decoding bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.byteCount else { return nil }
        itemLength = UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self))
        contextID = bytes[4]
        // Bits 2 to 7 are zero from the sender and not tested by the receiver (PS3.8 annex E.2).
        isCommand = bytes[5] & 1 != 0
        isLast = bytes[5] & 2 != 0
    }

    package func encode(into bytes: inout [UInt8]) {
        withUnsafeBytes(of: itemLength.bigEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contextID)
        bytes.append(controlByte)
    }

    /// Writes six bytes; `room` must have them.
    package func write(to room: UnsafeMutableRawBufferPointer) {
        room.storeBytes(of: itemLength.bigEndian, as: UInt32.self)
        room[4] = contextID
        room[5] = controlByte
    }

    private var controlByte: UInt8 { (isCommand ? 1 : 0) | (isLast ? 2 : 0) }
}

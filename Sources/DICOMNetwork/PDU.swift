// SPDX-License-Identifier: Apache-2.0

/// The seven upper layer protocol data units (PS3.8 section 9.3.1).
package enum PDUType: UInt8, Sendable {
    case associateRequest = 1
    case associateAccept = 2
    case associateReject = 3
    case data = 4
    case releaseRequest = 5
    case releaseResponse = 6
    case abort = 7
}

/// The six bytes every PDU begins with: type, a reserved byte, the length of what follows (PS3.8 section 9.3.1).
package struct PDUHeader: Equatable, Sendable {
    /// How many bytes the header takes on the wire.
    package static let byteCount = 6

    /// The type as received, kept raw because an unknown type is an event of its own (Evt19).
    package let typeCode: UInt8
    /// Bytes of the body, as announced by the peer: never a reason to allocate that much.
    package let length: UInt32

    /// The known type, nil for a code the standard does not define.
    package var type: PDUType? { PDUType(rawValue: typeCode) }

    package init(type: PDUType, length: UInt32) {
        typeCode = type.rawValue
        self.length = length
    }

    /// Reads a header from the first six bytes; nil when there are fewer.
    package init?(decoding bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.byteCount else { return nil }
        // Byte 2 is reserved and not tested (PS3.8 section 9.3.1).
        typeCode = bytes[0]
        length = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
    }
}

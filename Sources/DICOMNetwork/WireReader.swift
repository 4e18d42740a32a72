// SPDX-License-Identifier: Apache-2.0

/// A cursor over received bytes. It never reads outside them and never believes an announced length before
/// comparing it with what is there. Numbers are big-endian (PS3.8 section 9.3.1).
struct WireReader {
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var remaining: Int { bytes.count - offset }
    var isAtEnd: Bool { remaining == 0 }

    mutating func take(_ count: Int) throws(PDUError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw .truncated }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    mutating func takeRest() -> UnsafeRawBufferPointer {
        defer { offset = bytes.count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset...])
    }

    mutating func skip(_ count: Int) throws(PDUError) { _ = try take(count) }

    mutating func readUInt8() throws(PDUError) -> UInt8 { try take(1)[0] }

    mutating func readUInt16() throws(PDUError) -> UInt16 {
        UInt16(bigEndian: try take(2).loadUnaligned(as: UInt16.self))
    }

    mutating func readUInt32() throws(PDUError) -> UInt32 {
        UInt32(bigEndian: try take(4).loadUnaligned(as: UInt32.self))
    }

    /// A 16-bit length and as many bytes, as the fields inside sub-items have it.
    mutating func takeCounted() throws(PDUError) -> UnsafeRawBufferPointer {
        let count = Int(try readUInt16())
        guard count <= remaining else { throw .lengthMismatch }
        return try take(count)
    }

    /// One item: type, reserved byte, 16-bit length, contents.
    mutating func takeItem() throws(PDUError) -> WireItem {
        let type = try readUInt8()
        let reserved = try readUInt8()
        return WireItem(type: type, reserved: reserved, contents: try takeCounted())
    }

    /// For items of fixed form: nothing may be left over.
    func expectEnd() throws(PDUError) {
        guard isAtEnd else { throw .lengthMismatch }
    }
}

/// An item or sub-item as it lies in the received bytes.
struct WireItem {
    let type: UInt8
    let reserved: UInt8
    let contents: UnsafeRawBufferPointer
}

/// Item types (PS3.8 section 9.3, PS3.7 annex D.3.3).
enum ItemType {
    static let applicationContext: UInt8 = 0x10
    static let proposedPresentationContext: UInt8 = 0x20
    static let acceptedPresentationContext: UInt8 = 0x21
    static let abstractSyntax: UInt8 = 0x30
    static let transferSyntax: UInt8 = 0x40
    static let userInformation: UInt8 = 0x50
    static let maximumLength: UInt8 = 0x51
    static let implementationClassUID: UInt8 = 0x52
    static let asynchronousOperationsWindow: UInt8 = 0x53
    static let roleSelection: UInt8 = 0x54
    static let implementationVersionName: UInt8 = 0x55
    static let extendedNegotiation: UInt8 = 0x56
    static let commonExtendedNegotiation: UInt8 = 0x57
    static let userIdentity: UInt8 = 0x58
    static let userIdentityServerResponse: UInt8 = 0x59
}

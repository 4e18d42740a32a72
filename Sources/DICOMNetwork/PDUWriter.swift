// SPDX-License-Identifier: Apache-2.0

/// Builds a PDU whose lengths are filled in once their contents are known. Numbers are big-endian.
struct PDUWriter {
    private(set) var bytes: [UInt8]

    /// Begins a whole PDU; `finish` sets its length.
    init(_ type: PDUType, capacity: Int = 512) {
        bytes = []
        bytes.reserveCapacity(capacity)
        bytes += [type.rawValue, 0, 0, 0, 0, 0]
    }

    mutating func append(_ value: UInt8) { bytes.append(value) }
    mutating func append(_ value: UInt16) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }
    mutating func append(_ value: UInt32) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }
    mutating func append(_ values: [UInt8]) { bytes += values }
    mutating func appendZeros(_ count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }

    /// An AE title in its 16 bytes, padded with spaces (PS3.8 table 9-11).
    mutating func appendApplicationEntityTitle(_ title: String) {
        let text = WireText.bytes(title, limit: WireText.maximumAETitleLength)
        bytes += text
        bytes.append(contentsOf: repeatElement(0x20, count: WireText.maximumAETitleLength - text.count))
    }

    mutating func appendUID(_ uid: String) { bytes += WireText.bytes(uid, limit: WireText.maximumUIDLength) }

    /// A 16-bit length and what `body` writes.
    mutating func counted(_ body: (inout PDUWriter) -> Void) {
        let start = bytes.count
        append(UInt16(0))
        body(&self)
        let count = bytes.count - start - 2
        // Bodies are bounded by their callers; beyond 16 bits there is no encoding at all.
        precondition(count <= Int(UInt16.max), "an item longer than its 16-bit length")
        bytes[start] = UInt8(truncatingIfNeeded: count >> 8)
        bytes[start + 1] = UInt8(truncatingIfNeeded: count)
    }

    /// One item: type, reserved byte, length, contents.
    mutating func item(_ type: UInt8, reserved: UInt8 = 0, _ body: (inout PDUWriter) -> Void) {
        append(type)
        append(reserved)
        counted(body)
    }

    mutating func uidItem(_ type: UInt8, _ uid: String) {
        item(type) { $0.appendUID(uid) }
    }

    /// The bytes with the PDU length set.
    consuming func finish() -> [UInt8] {
        let length = UInt32(truncatingIfNeeded: bytes.count - PDUHeader.byteCount)
        for index in 0..<4 {
            bytes[2 + index] = UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * index))
        }
        return bytes
    }
}

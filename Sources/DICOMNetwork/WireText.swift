// SPDX-License-Identifier: Apache-2.0

/// Text of the association PDUs and command sets. All of it is ASCII; what is not becomes "?", so that nothing
/// a peer sends can put control characters into a log line or a terminal.
enum WireText {
    /// UIDs are at most 64 characters (PS3.5 section 9.1).
    static let maximumUIDLength = 64
    /// AE titles are at most 16 (PS3.5 section 6.2, VR AE).
    static let maximumAETitleLength = 16

    /// A UID without its padding. There should be none in a PDU (PS3.8 annex F.1), yet NUL and space are met.
    static func uid(_ bytes: UnsafeRawBufferPointer, _ field: String) throws(PDUError) -> String {
        let trimmed = trimmingEnd(bytes)
        guard trimmed.count <= maximumUIDLength else { throw .unexpectedValue(field) }
        return printable(trimmed)
    }

    /// An AE title: leading and trailing spaces carry no meaning (PS3.8 table 9-11). Padding by NUL is met too.
    static func applicationEntityTitle(_ bytes: UnsafeRawBufferPointer) -> String {
        printable(trimmingStart(trimmingEnd(bytes)))
    }

    /// Any other text, cut to `limit` characters.
    static func text(_ bytes: UnsafeRawBufferPointer, limit: Int) -> String {
        let cut = UnsafeRawBufferPointer(rebasing: trimmingEnd(bytes).prefix(limit))
        return printable(trimmingEnd(cut))
    }

    /// What of a local string may go out: printable ASCII, at most `limit` bytes.
    static func bytes(_ text: String, limit: Int) -> [UInt8] {
        text.utf8.prefix(limit).map { isPrintable($0) ? $0 : UInt8(ascii: "?") }
    }

    private static func isPrintable(_ byte: UInt8) -> Bool { (0x20...0x7E).contains(byte) }

    private static func printable(_ bytes: UnsafeRawBufferPointer) -> String {
        String(unsafeUninitializedCapacity: bytes.count) { room in
            for index in bytes.indices {
                room[index] = isPrintable(bytes[index]) ? bytes[index] : UInt8(ascii: "?")
            }
            return bytes.count
        }
    }

    private static func trimmingEnd(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var count = bytes.count
        while count > 0, bytes[count - 1] == 0 || bytes[count - 1] == 0x20 { count -= 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[..<count])
    }

    private static func trimmingStart(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes.drop { $0 == 0x20 })
    }
}

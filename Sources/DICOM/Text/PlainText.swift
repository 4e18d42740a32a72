// SPDX-License-Identifier: Apache-2.0
import Platform

/// Text to which no character set applies.
package enum PlainText {
    /// The first value, without padding.
    package static func first(_ bytes: UnsafeRawBufferPointer) -> String {
        trimmed(bytes.firstIndex(of: UInt8(ascii: "\\")).map { bytes.part(0..<$0) } ?? bytes)
    }

    /// One value without padding. A byte beyond ASCII has no meaning there.
    static func trimmed(_ bytes: UnsafeRawBufferPointer) -> String {
        var (start, end) = (0, bytes.count)
        while end > start, bytes[end - 1] == 0x20 || bytes[end - 1] == 0 { end -= 1 }
        while start < end, bytes[start] == 0x20 { start += 1 }
        let text = bytes.part(start..<end)
        if text.allSatisfy({ $0 < 0x80 }) { return String(decoding: text, as: UTF8.self) }
        return String(decoding: text.map { $0 < 0x80 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
}

// SPDX-License-Identifier: Apache-2.0

/// DICOM wildcards over UTF-8: `*` any run of characters, `?` one (PS3.4 section C.2.2.2.4). On a mismatch it goes back to
/// the last asterisk only, so that time is at most pattern × text, whatever the pattern.
package enum WildcardMatcher {
    package static func matches(_ pattern: String, _ text: String) -> Bool {
        var pattern = pattern
        var text = text
        return pattern.withUTF8 { pattern in
            text.withUTF8 { matches(UnsafeRawBufferPointer(pattern), UnsafeRawBufferPointer($0)) }
        }
    }

    static func matches(_ pattern: UnsafeRawBufferPointer, _ text: UnsafeRawBufferPointer) -> Bool {
        var p = 0
        var t = 0
        var starPattern = -1
        var starText = 0
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                starPattern = p
                starText = t
                p += 1
            } else if p < pattern.count, pattern[p] == UInt8(ascii: "?") {
                t = next(text, t)
                p += 1
            } else if p < pattern.count, pattern[p] == text[t] {
                p += 1
                t += 1
            } else if starPattern >= 0 {
                starText = next(text, starText)
                t = starText
                p = starPattern + 1
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
        return p == pattern.count
    }

    /// Whether the whole name or one of its component groups matches.
    static func matchesName(_ pattern: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer) -> Bool {
        if matches(pattern, name) { return true }
        return name.split(separator: UInt8(ascii: "=")).contains {
            matches(pattern, UnsafeRawBufferPointer(rebasing: $0))
        }
    }

    /// The start of the next character.
    private static func next(_ text: UnsafeRawBufferPointer, _ index: Int) -> Int {
        var index = index + 1
        while index < text.count, text[index] & 0xC0 == 0x80 { index += 1 }
        return index
    }
}

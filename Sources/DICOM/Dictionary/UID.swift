// SPDX-License-Identifier: Apache-2.0

/// The grammar of unique identifiers (PS3.5 section 9.1).
package enum UIDGrammar {
    /// What to do with an identifier as it was sent.
    package enum Verdict: Hashable, Sendable {
        /// As the standard asks.
        case valid
        /// 1 to 64 digits and dots, put together wrongly (a component that is empty or starts with a superfluous
        /// zero, a single component): such instances exist, so they are stored and flagged.
        case faulty
        /// Empty, longer than 64 bytes or with other characters: refused.
        case unacceptable
    }

    /// The longest identifier, in bytes.
    package static let maximumLength = 64

    /// Judges the value without its padding: the NUL that makes the length even is not part of the identifier.
    package static func check(_ bytes: some Collection<UInt8>) -> Verdict {
        var length = 0
        var components = 1
        var componentLength = 0
        var startsWithZero = false
        var isFaulty = false
        for byte in bytes {
            length += 1
            guard length <= maximumLength else { return .unacceptable }
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if startsWithZero { isFaulty = true }
                startsWithZero = componentLength == 0 && byte == UInt8(ascii: "0")
                componentLength += 1
            case UInt8(ascii: "."):
                if componentLength == 0 { isFaulty = true }
                components += 1
                componentLength = 0
                startsWithZero = false
            default: return .unacceptable
            }
        }
        guard length > 0 else { return .unacceptable }
        // Dots alone say nothing, and would be names of folders.
        guard length >= components else { return .unacceptable }
        return isFaulty || componentLength == 0 || components == 1 ? .faulty : .valid
    }

    /// Judges the value without its padding.
    package static func check(_ text: String) -> Verdict { check(text.utf8) }
}

/// Makes unique identifiers that need no registered root.
package enum UIDGenerator {
    /// "2.25." and a random UUID as a decimal number (PS3.5 section B.2); at most 44 characters.
    package static func newUID() -> String {
        var value = UInt128.random(in: .min ... .max)
        // Version 4 and variant 1 of RFC 9562: what makes a random number a UUID.
        value = value & ~(0xF << 76) | 0x4 << 76
        value = value & ~(0x3 << 62) | 0x2 << 62
        return "2.25.\(value)"
    }
}

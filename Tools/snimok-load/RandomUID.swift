// SPDX-License-Identifier: Apache-2.0
import Seeded

extension SplitMix {
    /// "2.25." and a UUID as a decimal number (PS3.5 section B.2), of version 8 (RFC 9562: made by a rule of one's own).
    /// The highest bit is set, so that all have 39 digits and one can be written over another.
    mutating func uid() -> String {
        var value = UInt128(next()) << 64 | UInt128(next())
        value |= 1 << 127
        value = value & ~(0xF << 76) | 0x8 << 76
        value = value & ~(0x3 << 62) | 0x2 << 62
        return "2.25.\(value)"
    }
}

// SPDX-License-Identifier: Apache-2.0

/// A value representation (PS3.5 section 6.2); the raw value is its two letters as they stand in the stream.
package struct VR: Hashable, Sendable, CustomStringConvertible {
    /// First letter in the high byte.
    package let rawValue: UInt16

    @inlinable package init(rawValue: UInt16) { self.rawValue = rawValue }

    @inlinable init(_ letters: StaticString) {
        rawValue = UInt16(letters.utf8Start[0]) << 8 | UInt16(letters.utf8Start[1])
    }

    package static let ae = VR("AE"), `as` = VR("AS"), at = VR("AT"), cs = VR("CS"), da = VR("DA"), ds = VR("DS")
    package static let dt = VR("DT"), fl = VR("FL"), fd = VR("FD"), `is` = VR("IS"), lo = VR("LO"), lt = VR("LT")
    package static let ob = VR("OB"), od = VR("OD"), of = VR("OF"), ol = VR("OL"), ov = VR("OV"), ow = VR("OW")
    package static let pn = VR("PN"), sh = VR("SH"), sl = VR("SL"), sq = VR("SQ"), ss = VR("SS"), st = VR("ST")
    package static let sv = VR("SV"), tm = VR("TM"), uc = VR("UC"), ui = VR("UI"), ul = VR("UL"), un = VR("UN")
    package static let ur = VR("UR"), us = VR("US"), ut = VR("UT"), uv = VR("UV")

    /// The letters, e.g. `PN`; bytes that are no letters are shown as `?`.
    package var description: String {
        String(
            decoding: [UInt8(rawValue >> 8), UInt8(rawValue & 0xFF)].map { (65...90).contains($0) ? $0 : 63 },
            as: UTF8.self)
    }

    /// Whether the explicit form has two reserved bytes and a 32-bit length (PS3.5 table 7.1-1). A VR that this
    /// version does not know has that form too (PS3.5 section 6.2.2 asks new VRs to follow it).
    package var hasLongLength: Bool {
        switch self {
        case .ae, .as, .at, .cs, .da, .ds, .dt, .fl, .fd, .is, .lo, .lt, .pn, .sh, .sl, .ss, .st, .tm, .ui, .ul, .us:
            false
        default: true
        }
    }

    /// Whether two upper-case letters stand here, as every VR of every edition has.
    package var isPlausible: Bool {
        (65...90).contains(rawValue >> 8) && (65...90).contains(rawValue & 0xFF)
    }

    /// Bytes of one number in the value, for the change of byte order; 1 for text and bytes (PS3.5 section 7.3).
    package var wordSize: Int {
        switch self {
        case .at, .ow, .ss, .us: 2
        case .fl, .of, .ol, .sl, .ul: 4
        case .fd, .od, .ov, .sv, .uv: 8
        default: 1
        }
    }

    /// Whether Specific Character Set (0008,0005) applies to the value (PS3.5 section 6.1.2.3).
    package var isAffectedByCharacterSet: Bool {
        switch self {
        case .lo, .lt, .pn, .sh, .st, .uc, .ut: true
        default: false
        }
    }

    /// Whether the value is bytes or words without an upper bound (InlineBinary of PS3.18 section F.2.7).
    package var isBinary: Bool {
        switch self {
        case .ob, .od, .of, .ol, .ov, .ow, .un: true
        default: !isPlausible
        }
    }

    /// Whether the value is text of any kind.
    package var isText: Bool {
        switch self {
        case .ae, .as, .cs, .da, .ds, .dt, .is, .tm, .ui, .ur: true
        default: isAffectedByCharacterSet
        }
    }

    /// What makes the length of a value even (PS3.5 section 6.2).
    package var padding: UInt8 { isText && self != .ui ? 0x20 : 0 }
}

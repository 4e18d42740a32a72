// SPDX-License-Identifier: Apache-2.0

/// ASCII with one further set, or several that escape sequences switch between (PS3.5 section 6.1.2.5).
struct CodeExtensions: Sendable {
    /// The sets in the order they are declared.
    let declared: [GraphicSet]
    /// In G1 at the start of a value; nil when the first declared set is none of G1.
    let firstRight: GraphicSet?
    /// As `firstRight`, for readers only. Where the text starts without G1, senders that forget an escape sequence
    /// mean the only set of G1 they declare.
    let assumedRight: GraphicSet?
    /// Whether text returns to G0 by ESC 02/08 04/10, JIS X 0201 romaji, and not by 04/02, ASCII.
    let startsWithRomaji: Bool

    /// `terms` may hold the default repertoire, as a rule in the first place.
    init(_ terms: [DefinedTerm]) {
        declared = terms.compactMap(\.graphicSet)
        let first = terms.first?.graphicSet
        firstRight = first.flatMap { $0.isRight && $0.width == 1 ? $0 : nil }
        assumedRight = firstRight ?? declared.first { $0.isRight }
        startsWithRomaji = terms.first?.repertoire == .registered(13)
    }

    /// One single-byte set.
    init(single set: GraphicSet) {
        declared = [set]
        firstRight = set
        assumedRight = set
        startsWithRomaji = false
    }

    /// Follows ESC to designate the initial set of G0.
    var leftDesignator: [UInt8] { [0x28, startsWithRomaji ? 0x4A : 0x42] }
}

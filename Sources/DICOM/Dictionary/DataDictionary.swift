// SPDX-License-Identifier: Apache-2.0

/// What PS3.6 and PS3.7 say about attributes: the VR to read an Implicit VR data set with, and the keywords.
///
/// Where the standard leaves a choice, the VR is the one of PS3.5 annex A.1 that fits without a look at other
/// attributes: US for "US or SS", OW for "OB or OW" and for lookup table data.
package enum DataDictionary {
    private static let table = DictionaryTable(parsing: StandardDictionary.text, count: StandardDictionary.count)
    private static let keywords = table.indexedByKeyword()

    /// The VR of an attribute, without allocation; nil for an unknown one and for private elements other than
    /// private creators (LO) and group lengths (UL).
    package static func vr(of tag: Tag) -> VR? {
        if tag.isGroupLength { return .ul }
        if tag.isPrivate { return tag.isPrivateCreator ? .lo : nil }
        return row(of: tag).map { VR(rawValue: table.vrs[$0]) }
    }

    /// The keyword of PS3.6, e.g. `PatientName`; nil for unknown and private elements.
    package static func keyword(of tag: Tag) -> String? {
        row(of: tag).map { index in table.withKeyword(at: index) { String(decoding: $0, as: UTF8.self) } }
    }

    /// The attribute of a keyword in its exact spelling; the lowest tag for one in a repeating group.
    package static func tag(keyword: String) -> Tag? {
        var keyword = keyword
        return keyword.withUTF8 { sought in
            var low = 0
            var high = keywords.count
            while low < high {
                let middle = (low + high) / 2
                let index = Int(keywords[middle])
                let order = table.withKeyword(at: index) { DictionaryTable.compare($0, sought) }
                if order == 0 { return Tag(table.tags[index]) }
                if order < 0 { low = middle + 1 } else { high = middle }
            }
            return nil
        }
    }

    /// An exact entry goes first: (7FE0,0010) lies within the repeating groups 7Fxx.
    private static func row(of tag: Tag) -> Int? {
        if let exact = table.index(of: tag.rawValue) { return exact }
        guard !tag.isPrivate, let base = repeatingBase(of: tag) else { return nil }
        return table.index(of: base)
    }

    /// The lowest tag of the repeating groups 50xx, 60xx, 7Fxx (PS3.5 section 7.6) and of (0020,31xx).
    private static func repeatingBase(of tag: Tag) -> UInt32? {
        switch tag.rawValue >> 24 {
        case 0x50, 0x60, 0x7F: tag.rawValue & 0xFF00_FFFF
        default: tag.rawValue & 0xFFFF_FF00 == 0x0020_3100 ? 0x0020_3100 : nil
        }
    }
}

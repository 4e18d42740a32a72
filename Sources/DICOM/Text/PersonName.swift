// SPDX-License-Identifier: Apache-2.0

/// A value of VR PN in its parts (PS3.5 section 6.2.1).
package struct PersonName: Hashable, Sendable {
    /// One way to write the name, in five components.
    package struct Group: Hashable, Sendable {
        package var familyName = ""
        package var givenName = ""
        package var middleName = ""
        package var prefix = ""
        /// With whatever stands behind a fifth `^`, which the standard does not allow.
        package var suffix = ""

        package init() {}

        /// Splits at `^`; spaces around a component are dropped.
        package init(_ text: some StringProtocol) {
            let parts = PersonName.split(text, at: UInt8(ascii: "^"), most: 5)
            familyName = parts[0]
            givenName = parts[1]
            middleName = parts[2]
            prefix = parts[3]
            suffix = parts[4]
        }

        /// As in a data set, without empty components at the end.
        package var text: String {
            PersonName.join([familyName, givenName, middleName, prefix, suffix], with: "^")
        }

        package var isEmpty: Bool { self == Group() }
    }

    /// In single-byte characters, as a rule of the Latin alphabet.
    package var alphabetic = Group()
    /// In ideographs or hangul.
    package var ideographic = Group()
    /// In kana or hangul as it sounds, with whatever stands behind a third `=`.
    package var phonetic = Group()

    package init() {}

    /// Splits any text at `=` and `^`; what is missing is empty.
    package init(_ text: some StringProtocol) {
        let groups = Self.split(text, at: UInt8(ascii: "="), most: 3)
        alphabetic = Group(groups[0])
        ideographic = Group(groups[1])
        phonetic = Group(groups[2])
    }

    /// As in a data set, without empty groups and components at the end.
    package var text: String { Self.join([alphabetic.text, ideographic.text, phonetic.text], with: "=") }

    package var isEmpty: Bool { self == PersonName() }

    /// Exactly `most` parts: the last one holds the rest, missing ones are empty.
    private static func split(_ text: some StringProtocol, at delimiter: UInt8, most: Int) -> [String] {
        let parts = Array(text.utf8)
            .split(separator: delimiter, maxSplits: most - 1, omittingEmptySubsequences: false)
            .map(trimmed)
        return parts + Array(repeating: "", count: most - parts.count)
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> String {
        var rest = bytes.drop { $0 == UInt8(ascii: " ") }
        while rest.last == UInt8(ascii: " ") { rest.removeLast() }
        return String(decoding: rest, as: UTF8.self)
    }

    private static func join(_ parts: [String], with delimiter: String) -> String {
        let count = parts.lastIndex { !$0.isEmpty }.map { $0 + 1 } ?? 0
        return parts.prefix(count).joined(separator: delimiter)
    }
}

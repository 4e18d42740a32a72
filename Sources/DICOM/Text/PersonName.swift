// SPDX-License-Identifier: Apache-2.0

/// A person name (PS3.5 section 6.2.1): up to three component groups, each of up to five components.
package struct PersonName: Equatable, Sendable {
    /// Family, given, middle, prefix, suffix; missing ones are empty.
    package struct Group: Equatable, Sendable {
        package let components: [String]

        package var familyName: String { components[0] }
        package var givenName: String { components[1] }
        package var middleName: String { components[2] }
        package var prefix: String { components[3] }
        package var suffix: String { components[4] }

        fileprivate init(_ text: Substring) {
            let parts = text.split(separator: "^", omittingEmptySubsequences: false).prefix(5).map(String.init)
            components = parts + [String](repeating: "", count: 5 - parts.count)
        }
    }

    package let alphabetic: Group
    package let ideographic: Group
    package let phonetic: Group

    /// Reads one value, already decoded.
    package init(_ text: String) {
        let groups = text.split(separator: "=", omittingEmptySubsequences: false)
        alphabetic = Group(groups.first ?? "")
        ideographic = Group(groups.count > 1 ? groups[1] : "")
        phonetic = Group(groups.count > 2 ? groups[2] : "")
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Why received bytes are not a command set. Elements are named by their number in group 0000.
package enum CommandSetError: Error, Equatable, Sendable {
    /// The bytes end inside an element.
    case truncated
    /// An element announces more bytes than there are, or a length that its type does not have.
    case invalidLength(element: UInt16)
    /// The group length (0000,0000) is not the length of what follows it.
    case wrongGroupLength
    /// An element of a group other than 0000 (PS3.7 section 6.3.1).
    case foreignGroup(UInt16)
    /// An element that comes after one with the same or a greater tag (PS3.7 section 6.3.1).
    case outOfOrder(element: UInt16)
    /// More elements than `CommandSet.maximumElements`.
    case tooManyElements
    /// An element is absent that every message has: (0000,0100) or (0000,0800).
    case missing(element: UInt16)
}

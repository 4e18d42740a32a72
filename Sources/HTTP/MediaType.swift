// SPDX-License-Identifier: Apache-2.0

/// A media type with its parameters (RFC 9110 section 8.3.1), or a range of them with a weight (section 12.5.1).
package struct MediaType: Sendable {
    /// In lower case, as `multipart/related`.
    package let name: String
    /// Names in lower case; the first of duplicates counts.
    package let parameters: [(name: String, value: String)]

    package subscript(name: String) -> String? { parameters.first { $0.name == name }?.value }

    /// The weight `q`; a broken one is 1, for the sender meant to name the type.
    package var quality: Double { self["q"].flatMap(Double.init).map { min(max($0, 0), 1) } ?? 1 }

    /// Reads a Content-Type, or one element of Accept. Parameters that are none are skipped: browsers and viewers send odd
    /// ones, and the type says enough.
    package init?(_ text: some StringProtocol) {
        var parts = Self.split(text, at: UInt8(ascii: ";"))
        let name = parts.removeFirst().lowercased()
        guard name.contains("/"), Self.isToken(name.filter { $0 != "/" }) else { return nil }
        self.name = name
        parameters = parts.compactMap { part in
            guard let equals = part.utf8.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            let name = Self.trimmed(part.utf8[..<equals]).lowercased()
            let value = Self.trimmed(part.utf8[part.utf8.index(after: equals)...])
            return !Self.isToken(name) ? nil : (name, Self.unquoted(value))
        }
    }

    /// The elements of an Accept header, best first; those of weight 0 are left out. Broken elements are skipped.
    package static func list(_ header: String) -> [MediaType] {
        let types = split(header, at: UInt8(ascii: ",")).compactMap { MediaType($0) }.filter { $0.quality > 0 }
        // Sorting keeps the order of equals only if it is told the place.
        return types.enumerated().sorted { left, right in
            (right.element.quality, left.offset) < (left.element.quality, right.offset)
        }.map(\.element)
    }

    /// Whether this range takes in a type: equal, `type/*` or `*/*`.
    package func matches(_ other: String) -> Bool {
        if name == other || name == "*/*" { return true }
        return name.hasSuffix("/*") && other.hasPrefix(name.dropLast(1))
    }

    /// RFC 9110 section 5.6.2.
    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    private static func split(_ text: some StringProtocol, at separator: UInt8) -> [String] {
        var parts: [String] = []
        var part: [UInt8] = []
        var isQuoted = false
        var isEscaped = false
        for letter in text.utf8 {
            if isEscaped {
                isEscaped = false
            } else if isQuoted, letter == UInt8(ascii: "\\") {
                isEscaped = true
            } else if letter == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if letter == separator, !isQuoted {
                parts.append(trimmed(part))
                part.removeAll(keepingCapacity: true)
                continue
            }
            part.append(letter)
        }
        return parts + [trimmed(part)]
    }

    private static func trimmed(_ text: some BidirectionalCollection<UInt8>) -> String {
        func isSpace(_ letter: UInt8) -> Bool { letter == 0x20 || letter == 0x09 }
        guard let first = text.firstIndex(where: { !isSpace($0) }), let last = text.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(decoding: text[first...last], as: UTF8.self)
    }

    /// By bytes: a mark behind a quote would make one letter of the two.
    private static func unquoted(_ text: String) -> String {
        let bytes = Array(text.utf8)
        let quote = UInt8(ascii: "\"")
        guard bytes.count >= 2, bytes.first == quote, bytes.last == quote else { return text }
        var result: [UInt8] = []
        var isEscaped = false
        for letter in bytes.dropFirst().dropLast() {
            if letter == UInt8(ascii: "\\"), !isEscaped {
                isEscaped = true
            } else {
                result.append(letter)
                isEscaped = false
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

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
        var parts = Self.split(text, at: ";").map(Self.trimmed)
        let name = parts.removeFirst().lowercased()
        guard name.contains("/"), Self.isToken(name.filter { $0 != "/" }) else { return nil }
        self.name = name
        parameters = parts.compactMap { part in
            guard let equals = part.firstIndex(of: "=") else { return nil }
            let name = Self.trimmed(part[..<equals]).lowercased()
            return !Self.isToken(name) ? nil : (name, Self.unquoted(Self.trimmed(part[part.index(after: equals)...])))
        }
    }

    /// The elements of an Accept header, best first; those of weight 0 are left out. Broken elements are skipped.
    package static func list(_ header: String) -> [MediaType] {
        let types = split(header, at: ",").compactMap { MediaType(trimmed($0)) }.filter { $0.quality > 0 }
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

    private static func split(_ text: some StringProtocol, at separator: Character) -> [String] {
        var parts = [""]
        var isQuoted = false
        var isEscaped = false
        for letter in text {
            if isEscaped {
                isEscaped = false
            } else if isQuoted, letter == "\\" {
                isEscaped = true
            } else if letter == "\"" {
                isQuoted.toggle()
            } else if letter == separator, !isQuoted {
                parts.append("")
                continue
            }
            parts[parts.count - 1].append(letter)
        }
        return parts
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        var rest = Substring(text)
        while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
        while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
        return String(rest)
    }

    private static func unquoted(_ text: String) -> String {
        guard text.count >= 2, text.first == "\"", text.last == "\"" else { return text }
        var result = ""
        var isEscaped = false
        for letter in text.dropFirst().dropLast() {
            if letter == "\\", !isEscaped {
                isEscaped = true
            } else {
                result.append(letter)
                isEscaped = false
            }
        }
        return result
    }
}

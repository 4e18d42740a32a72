// SPDX-License-Identifier: Apache-2.0

/// Any JSON.
package enum JSONValue: Codable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }

    /// Whether brackets and braces are nested no deeper than that. The library's parser and this type's are recursive: what
    /// comes from outside is looked at before it reaches them.
    package static func isNested(atMost depth: Int, _ text: [UInt8]) -> Bool {
        var level = 0
        var isString = false
        var isEscaped = false
        for byte in text {
            if isEscaped {
                isEscaped = false
            } else if isString {
                if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isString = false
                }
            } else {
                switch byte {
                case UInt8(ascii: "\""): isString = true
                case UInt8(ascii: "["), UInt8(ascii: "{"):
                    level += 1
                    if level > depth { return false }
                case UInt8(ascii: "]"), UInt8(ascii: "}"): level -= 1
                default: continue
                }
            }
        }
        return true
    }

    package subscript(key: String) -> JSONValue? {
        get {
            guard case .object(let members) = self else { return nil }
            return members[key]
        }
        set {
            guard case .object(var members) = self else { return }
            members[key] = newValue
            self = .object(members)
        }
    }

    /// Sets the value at `path`, whose parts match keys in any letter case, from text. False: there is no such key.
    package mutating func set(_ path: [String], text: String) -> Bool {
        guard let first = path.first else {
            self = Self.value(text, like: self)
            return true
        }
        guard case .object(var members) = self,
            let key = members.keys.first(where: { $0.lowercased() == first.lowercased() }),
            var member = members[key], member.set(Array(path.dropFirst()), text: text)
        else { return false }
        members[key] = member
        self = .object(members)
        return true
    }

    /// Text stays text where text stood; elsewhere it is what it looks like.
    private static func value(_ text: String, like old: JSONValue) -> JSONValue {
        if case .string = old { return .string(text) }
        if text == "true" || text == "false" { return .bool(text == "true") }
        if let integer = Int64(text) { return .integer(integer) }
        if let number = Double(text) { return .number(number) }
        return .string(text)
    }
}

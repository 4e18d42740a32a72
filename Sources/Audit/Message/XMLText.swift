// SPDX-License-Identifier: Apache-2.0

/// Elements and attributes put together; whatever stands in them is escaped.
struct XMLText {
    private(set) var text = ""
    private var open: [StaticString] = []

    /// Begins an element; nil attributes are left out.
    mutating func begin(_ name: StaticString, _ attributes: KeyValuePairs<StaticString, String?> = [:]) {
        head(name, attributes)
        text += ">"
        open.append(name)
    }

    mutating func end() { text += "</\(open.removeLast())>" }

    mutating func empty(_ name: StaticString, _ attributes: KeyValuePairs<StaticString, String?>) {
        head(name, attributes)
        text += "/>"
    }

    mutating func element(_ name: StaticString, _ content: String) {
        text += "<\(name)>\(Self.escaped(content))</\(name)>"
    }

    private mutating func head(_ name: StaticString, _ attributes: KeyValuePairs<StaticString, String?>) {
        text += "<\(name)"
        for (name, value) in attributes {
            if let value { text += " \(name)=\"\(Self.escaped(value))\"" }
        }
    }

    /// XML 1.0 section 2.2 has no way to write most control characters; they are shown as what they are, a fault.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case " "..."~": result.unicodeScalars.append(scalar)
            case "\u{FFFE}", "\u{FFFF}": result += "\u{FFFD}"
            default:
                switch scalar.properties.generalCategory {
                case .control, .lineSeparator, .paragraphSeparator, .surrogate: result += "\u{FFFD}"
                case .format, .privateUse, .unassigned: result += "&#\(scalar.value);"
                default: result.unicodeScalars.append(scalar)
                }
            }
        }
        return result
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Reads JSON text that comes from outside (RFC 8259). Foundation's decoder is made for types known beforehand: of any JSON it
/// took a time that grows with the square of the nesting, 80 ms for the 1,700 bytes of 64 sequences within each other, and it
/// is recursive. This one keeps what is open in an array, takes each byte once, and does not take a name twice.
package struct JSONParser {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// An array or object that is open.
    private struct Level {
        let isObject: Bool
        var values: [JSONValue] = []
        var members: [String: JSONValue] = [:]
        /// Of the member whose value comes next.
        var name = ""
    }

    private let text: [UInt8]
    private let nestingMaximum: Int
    private var position = 0

    private init(_ text: [UInt8], _ nestingMaximum: Int) {
        self.text = text
        self.nestingMaximum = nestingMaximum
    }

    /// The one value that the text is.
    package static func value(of text: [UInt8], nestingMaximum: Int) throws(Failure) -> JSONValue {
        var parser = JSONParser(text, nestingMaximum)
        let value = try parser.value()
        try parser.end()
        return value
    }

    /// Each element of an array by itself, so that not all need to be in memory; or the one value that is there instead.
    package static func forEachElement(
        of text: [UInt8], nestingMaximum: Int, _ take: (JSONValue) throws -> Void
    ) throws {
        var parser = JSONParser(text, nestingMaximum)
        parser.skipSpace()
        if parser.skip("[") {
            parser.skipSpace()
            if !parser.skip("]") {
                repeat {
                    try take(parser.value())
                    parser.skipSpace()
                } while parser.skip(",")
                guard parser.skip("]") else { throw parser.unexpected() }
            }
        } else {
            try take(parser.value())
        }
        try parser.end()
    }

    // MARK: Values

    private mutating func value() throws(Failure) -> JSONValue {
        var open: [Level] = []
        while true {
            skipSpace()
            var value: JSONValue
            switch next {
            case UInt8(ascii: "{"):
                try begin(open.count)
                if !skip("}") {
                    open.append(Level(isObject: true, name: try name()))
                    continue
                }
                value = .object([:])
            case UInt8(ascii: "["):
                try begin(open.count)
                if !skip("]") {
                    open.append(Level(isObject: false))
                    continue
                }
                value = .array([])
            default: value = try scalar()
            }
            while true {
                guard !open.isEmpty else { return value }
                try add(value, to: &open[open.count - 1])
                skipSpace()
                if skip(",") { break }
                guard let closed = close(&open) else { throw unexpected() }
                value = closed
            }
            if open[open.count - 1].isObject {
                skipSpace()
                open[open.count - 1].name = try name()
            }
        }
    }

    /// Goes into an array or object.
    private mutating func begin(_ openCount: Int) throws(Failure) {
        guard openCount < nestingMaximum else {
            throw Failure(description: "nested deeper than \(nestingMaximum) at byte \(position)")
        }
        position += 1
        skipSpace()
    }

    private func add(_ value: JSONValue, to level: inout Level) throws(Failure) {
        guard level.isObject else { return level.values.append(value) }
        // Which of two would hold differs from reader to reader (RFC 8259 section 4).
        guard level.members.updateValue(value, forKey: level.name) == nil else {
            throw Failure(description: "\"\(level.name.prefix(40))\" is there twice before byte \(position)")
        }
    }

    /// The array or object that ends here, if one does.
    private mutating func close(_ open: inout [Level]) -> JSONValue? {
        guard let last = open.last, skip(last.isObject ? "}" : "]") else { return nil }
        open.removeLast()
        return last.isObject ? .object(last.members) : .array(last.values)
    }

    private mutating func scalar() throws(Failure) -> JSONValue {
        switch next {
        case UInt8(ascii: "\"")?: return .string(try string())
        case let byte? where byte == UInt8(ascii: "-") || Self.isDigit(byte): return try number()
        default:
            if skip("true") { return .bool(true) }
            if skip("false") { return .bool(false) }
            if skip("null") { return .null }
            throw unexpected()
        }
    }

    /// A member's name and the colon behind it.
    private mutating func name() throws(Failure) -> String {
        guard next == UInt8(ascii: "\"") else { throw unexpected() }
        let name = try string()
        skipSpace()
        guard skip(":") else { throw unexpected() }
        return name
    }

    // MARK: Strings (RFC 8259 section 7)

    private mutating func string() throws(Failure) -> String {
        let start = position + 1
        var end = start
        while end < text.count, text[end] != UInt8(ascii: "\""), text[end] != UInt8(ascii: "\\"), text[end] >= 0x20 {
            end += 1
        }
        position = end
        if skip("\"") { return try unicode(text[start..<end]) }
        // Something to undo: byte by byte.
        var bytes = Array(text[start..<end])
        while true {
            guard let byte = next, byte >= 0x20 else { throw unexpected() }
            position += 1
            if byte == UInt8(ascii: "\"") { return try unicode(bytes[...]) }
            if byte == UInt8(ascii: "\\") { try unescape(into: &bytes) } else { bytes.append(byte) }
        }
    }

    private func unicode(_ bytes: ArraySlice<UInt8>) throws(Failure) -> String {
        guard let string = String(validating: bytes, as: UTF8.self) else {
            throw Failure(description: "text before byte \(position) is no UTF-8")
        }
        return string
    }

    private mutating func unescape(into bytes: inout [UInt8]) throws(Failure) {
        guard let letter = next else { throw unexpected() }
        guard letter != UInt8(ascii: "u") else {
            position += 1
            return bytes.append(contentsOf: String(Character(try scalarOfHexadecimal())).utf8)
        }
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(letter)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0C)
        case UInt8(ascii: "n"): bytes.append(0x0A)
        case UInt8(ascii: "r"): bytes.append(0x0D)
        case UInt8(ascii: "t"): bytes.append(0x09)
        default: throw unexpected()
        }
        position += 1
    }

    /// Four digits behind `\u`, or the two fours of a character beyond them.
    private mutating func scalarOfHexadecimal() throws(Failure) -> Unicode.Scalar {
        let first = try fourDigits()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, skip("\\u") else { throw unexpected() }
        let second = try fourDigits()
        guard (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw unexpected() }
        return scalar
    }

    private mutating func fourDigits() throws(Failure) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw unexpected() }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    // MARK: Numbers (RFC 8259 section 6)

    private mutating func number() throws(Failure) -> JSONValue {
        let start = position
        _ = skip("-")
        let whole = digits()
        guard whole == 1 || whole > 1 && text[position - whole] != UInt8(ascii: "0") else { throw unexpected() }
        var isWhole = true
        if skip(".") {
            isWhole = false
            guard digits() > 0 else { throw unexpected() }
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            isWhole = false
            position += 1
            if !skip("+") { _ = skip("-") }
            guard digits() > 0 else { throw unexpected() }
        }
        let written = String(decoding: text[start..<position], as: UTF8.self)
        if isWhole, let integer = Int64(written) { return .integer(integer) }
        guard let number = Double(written), number.isFinite else {
            throw Failure(description: "the number before byte \(position) is too large")
        }
        // `1.0` and `1e3` are whole numbers too; beyond these, what is written need not be what is kept.
        guard number.magnitude <= 0x1p53, let integer = Int64(exactly: number) else { return .number(number) }
        return .integer(integer)
    }

    /// Passes over digits; how many.
    private mutating func digits() -> Int {
        let start = position
        while let byte = next, Self.isDigit(byte) { position += 1 }
        return position - start
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    // MARK: Bytes

    private var next: UInt8? { position < text.count ? text[position] : nil }

    private mutating func skip(_ wanted: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: wanted.utf8Start, count: wanted.utf8CodeUnitCount)
        guard text.count - position >= wanted.count,
            text[position..<position + wanted.count].elementsEqual(wanted)
        else { return false }
        position += wanted.count
        return true
    }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func end() throws(Failure) {
        skipSpace()
        guard position == text.count else { throw unexpected() }
    }

    private func unexpected() -> Failure {
        Failure(description: position < text.count ? "not expected at byte \(position)" : "it ends early")
    }
}

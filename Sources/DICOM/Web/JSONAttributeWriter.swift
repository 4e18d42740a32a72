// SPDX-License-Identifier: Apache-2.0
import Platform

/// Writes data sets in the DICOM JSON Model (PS3.18 annex F) straight into bytes.
package struct JSONAttributeWriter {
    package private(set) var bytes: [UInt8] = []
    private var isFirst = true
    /// Items written of each sequence that is open.
    private var itemCounts: [Int] = []

    package init() {}

    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    // MARK: Structure

    package mutating func beginDataSet() {
        separate()
        bytes.append(UInt8(ascii: "{"))
        isFirst = true
    }

    package mutating func endDataSet() {
        bytes.append(UInt8(ascii: "}"))
        isFirst = false
    }

    package mutating func beginSequence(_ tag: Tag) {
        beginAttribute(tag, .sq)
        itemCounts.append(0)
    }

    package mutating func beginItem() {
        if itemCounts[itemCounts.count - 1] == 0 {
            raw(",\"Value\":[")
            isFirst = true
        }
        itemCounts[itemCounts.count - 1] += 1
        beginDataSet()
    }

    package mutating func endItem() { endDataSet() }

    package mutating func endSequence() {
        if itemCounts.removeLast() > 0 { bytes.append(UInt8(ascii: "]")) }
        endAttribute()
    }

    private mutating func separate() {
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
    }

    private mutating func beginAttribute(_ tag: Tag, _ vr: VR) {
        separate()
        // In one piece: there are dozens in each instance.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.attributeStart.count) { text in
            _ = text.initialize(from: Self.attributeStart)
            for index in 0..<8 { text[1 + index] = Self.digits[Int(tag.rawValue >> UInt32(28 - 4 * index) & 15)] }
            text[18] = UInt8(vr.rawValue >> 8)
            text[19] = UInt8(vr.rawValue & 0xFF)
            bytes.append(contentsOf: text)
        }
    }

    private static let attributeStart = Array(#""00000000":{"vr":"XX""#.utf8)

    private mutating func endAttribute() {
        bytes.append(UInt8(ascii: "}"))
        isFirst = false
    }

    // MARK: Attributes

    /// An attribute from its stored bytes.
    package mutating func append(
        _ tag: Tag, _ vr: VR, _ value: UnsafeRawBufferPointer, _ characterSet: SpecificCharacterSet, isBigEndian: Bool
    ) {
        beginAttribute(tag, vr.isPlausible ? vr : .un)
        defer { endAttribute() }
        guard value.count > 0 else { return }
        if vr.isText { return appendText(vr, value, characterSet) }
        switch vr {
        case .us: appendNumbers(value, isBigEndian, UInt16.self) { String($0) }
        case .ss: appendNumbers(value, isBigEndian, UInt16.self) { String(Int16(bitPattern: $0)) }
        case .ul: appendNumbers(value, isBigEndian, UInt32.self) { String($0) }
        case .sl: appendNumbers(value, isBigEndian, UInt32.self) { String(Int32(bitPattern: $0)) }
        case .uv: appendNumbers(value, isBigEndian, UInt64.self) { Self.safe($0 < 1 << 53, String($0)) }
        case .sv:
            appendNumbers(value, isBigEndian, UInt64.self) {
                let number = Int64(bitPattern: $0)
                return Self.safe(number.magnitude < 1 << 53, String(number))
            }
        case .fl: appendNumbers(value, isBigEndian, UInt32.self) { Self.number(Float(bitPattern: $0)) }
        case .fd: appendNumbers(value, isBigEndian, UInt64.self) { Self.number(Double(bitPattern: $0)) }
        case .at: appendTags(value, isBigEndian)
        default: appendBinary(value, vr, isBigEndian)
        }
    }

    /// An attribute of text that is Unicode already; backslashes part its values.
    package mutating func append(_ tag: Tag, _ vr: VR, text: String) {
        var text = text
        if vr == .us {
            beginAttribute(tag, vr)
            if let number = UInt16(text) { raw(",\"Value\":[\(number)]") }
            return endAttribute()
        }
        text.withUTF8 { append(tag, vr, UnsafeRawBufferPointer($0), .utf8, isBigEndian: false) }
    }

    /// A value that is fetched by its own address (PS3.18 section F.2.2).
    package mutating func append(_ tag: Tag, _ vr: VR, bulkDataURI: String) {
        beginAttribute(tag, vr.isPlausible ? vr : .un)
        raw(",\"BulkDataURI\":")
        var uri = bulkDataURI
        uri.withUTF8 { appendQuoted(UnsafeRawBufferPointer($0)) }
        endAttribute()
    }

    // MARK: Text

    private mutating func appendText(
        _ vr: VR, _ value: UnsafeRawBufferPointer, _ characterSet: SpecificCharacterSet
    ) {
        // Most text is plain: no set applies to ASCII without escapes.
        let isPlain = value.allSatisfy { $0 < 0x80 && $0 != 0x1B }
        if isPlain { return appendText(vr, plain: value) }
        guard vr.isAffectedByCharacterSet else {
            let text = value.map { $0 < 0x80 ? $0 : UInt8(ascii: "?") }
            return text.withRawBytes { appendText(vr, plain: $0) }
        }
        // In UTF-8 a backslash is one. (A NUL is told apart as padding by the decoder.)
        if characterSet.isUTF8, !value.contains(0) {
            var text = String(decoding: value, as: UTF8.self)
            return text.withUTF8 { appendText(vr, plain: UnsafeRawBufferPointer($0)) }
        }
        // Backslashes within a multi-byte character are none of ours, so values are parted by the decoder.
        raw(",\"Value\":[")
        for (index, text) in Self.values(vr, value, characterSet).enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            var text = text
            text.withUTF8 { appendValue(vr, UnsafeRawBufferPointer($0)) }
        }
        bytes.append(UInt8(ascii: "]"))
    }

    private static func values(
        _ vr: VR, _ value: UnsafeRawBufferPointer, _ characterSet: SpecificCharacterSet
    ) -> [String] {
        switch vr {
        case .lt, .st, .ut: [characterSet.decode(value, vr: vr)]
        default: characterSet.decodeValues(value, vr: vr)
        }
    }

    private mutating func appendText(_ vr: VR, plain value: UnsafeRawBufferPointer) {
        let isSingle = vr.isSingleText
        if Self.trimmed(value, vr).count == 0 { return }
        raw(",\"Value\":[")
        var start = 0
        while true {
            var end = start
            if isSingle { end = value.count } else { while end < value.count, value[end] != 0x5C { end += 1 } }
            appendValue(vr, value.part(start..<end))
            guard end < value.count else { break }
            bytes.append(UInt8(ascii: ","))
            start = end + 1
        }
        bytes.append(UInt8(ascii: "]"))
    }

    /// Padding is no part of a value (PS3.5 section 6.2); at the beginning it is where leading spaces count.
    private static func trimmed(_ value: UnsafeRawBufferPointer, _ vr: VR) -> UnsafeRawBufferPointer {
        var end = value.count
        while end > 0, value[end - 1] == 0x20 || value[end - 1] == 0 { end -= 1 }
        var start = 0
        if vr != .lt, vr != .st, vr != .ut, vr != .uc { while start < end, value[start] == 0x20 { start += 1 } }
        return value.part(start..<end)
    }

    private mutating func appendValue(_ vr: VR, _ untrimmed: UnsafeRawBufferPointer) {
        let value = Self.trimmed(untrimmed, vr)
        // An empty one of several values (PS3.18 section F.2.5).
        guard value.count > 0 else { return raw("null") }
        switch vr {
        case .pn: appendName(value)
        case .ds, .is:
            if !appendNumber(value) { appendQuoted(value) }
        default: appendQuoted(value)
        }
    }

    private mutating func appendQuoted(_ value: UnsafeRawBufferPointer) {
        bytes.append(UInt8(ascii: "\""))
        var start = 0
        for index in 0..<value.count where Self.isEscaped[Int(value[index])] {
            bytes.append(contentsOf: value.part(start..<index))
            appendEscaped(value[index])
            start = index + 1
        }
        bytes.append(contentsOf: value.part(start..<value.count))
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscaped(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return bytes.append(byte) }
        raw("u00")
        bytes.append(Self.digits[Int(byte >> 4)])
        bytes.append(Self.digits[Int(byte & 15)])
    }

    /// More than JSON needs, so that an answer that somebody puts into a page holds no markup.
    private static let isEscaped = (0...UInt8.max).map { $0 < 0x20 || $0 == 0x7F || #""\<>&"#.utf8.contains($0) }

    /// PS3.18 section F.2.2: the component groups of a name by their own keys.
    private mutating func appendName(_ value: UnsafeRawBufferPointer) {
        bytes.append(UInt8(ascii: "{"))
        var isFirstGroup = true
        for (group, name) in zip(
            value.split(separator: UInt8(ascii: "="), omittingEmptySubsequences: false),
            ["Alphabetic", "Ideographic", "Phonetic"])
        where !group.isEmpty {
            if !isFirstGroup { bytes.append(UInt8(ascii: ",")) }
            isFirstGroup = false
            raw("\"\(name)\":")
            appendQuoted(UnsafeRawBufferPointer(rebasing: group))
        }
        bytes.append(UInt8(ascii: "}"))
    }

    // MARK: Numbers

    /// A decimal or integer string as a JSON number, with its own digits. False: it is none (PS3.18 section F.2.3.1 allows
    /// a string then).
    private mutating func appendNumber(_ value: UnsafeRawBufferPointer) -> Bool {
        var digits: [UInt8] = []
        var rest = value[...]
        if rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        if rest.first == UInt8(ascii: "-") {
            digits.append(UInt8(ascii: "-"))
            rest = rest.dropFirst()
        }
        func takeDigits() -> ArraySlice<UInt8> {
            let run = rest.prefix { (0x30...0x39).contains($0) }
            rest = rest.dropFirst(run.count)
            return ArraySlice(run)
        }
        let whole = takeDigits()
        let significant = whole.drop { $0 == 0x30 }
        digits += significant.isEmpty ? [0x30] : Array(significant)
        var fraction: ArraySlice<UInt8> = []
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            fraction = takeDigits()
            if !fraction.isEmpty { digits += [UInt8(ascii: ".")] + fraction }
        }
        guard !whole.isEmpty || !fraction.isEmpty else { return false }
        if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
            rest = rest.dropFirst()
            digits.append(UInt8(ascii: "e"))
            if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
                digits.append(sign)
                rest = rest.dropFirst()
            }
            let exponent = takeDigits()
            guard !exponent.isEmpty else { return false }
            digits += exponent
        }
        guard rest.isEmpty else { return false }
        bytes += digits
        return true
    }

    private mutating func appendNumbers<Number: FixedWidthInteger>(
        _ value: UnsafeRawBufferPointer, _ isBigEndian: Bool, _: Number.Type, _ text: (Number) -> String
    ) {
        let size = MemoryLayout<Number>.size
        guard value.count >= size else { return }
        raw(",\"Value\":[")
        for offset in stride(from: 0, through: value.count - size, by: size) {
            if offset > 0 { bytes.append(UInt8(ascii: ",")) }
            raw(text(isBigEndian ? value.bigEndian(at: offset) : value.littleEndian(at: offset)))
        }
        bytes.append(UInt8(ascii: "]"))
    }

    /// Integers beyond what a JSON reader keeps exactly are strings (PS3.18 section F.2.3.1).
    private static func safe(_ isSafe: Bool, _ text: String) -> String { isSafe ? text : "\"\(text)\"" }

    private static func number<Number: BinaryFloatingPoint & CustomStringConvertible>(_ number: Number) -> String {
        if number.isNaN { return "\"NaN\"" }
        return number.isInfinite ? (number < 0 ? "\"-inf\"" : "\"inf\"") : number.description
    }

    private mutating func appendTags(_ value: UnsafeRawBufferPointer, _ isBigEndian: Bool) {
        guard value.count >= 4 else { return }
        raw(",\"Value\":[")
        for offset in stride(from: 0, through: value.count - 4, by: 4) {
            let tag =
                isBigEndian
                ? Tag(group: value.bigEndian(at: offset), element: value.bigEndian(at: offset + 2))
                : Tag(group: value.littleEndian(at: offset), element: value.littleEndian(at: offset + 2))
            raw((offset > 0 ? ",\"" : "\"") + tag.compactDescription + "\"")
        }
        bytes.append(UInt8(ascii: "]"))
    }

    // MARK: Bytes

    /// Little endian, whatever the stored order (PS3.18 section F.2.7).
    private mutating func appendBinary(_ value: UnsafeRawBufferPointer, _ vr: VR, _ isBigEndian: Bool) {
        raw(",\"InlineBinary\":\"")
        if isBigEndian, vr.wordSize > 1 {
            ByteOrder.swapped(value, wordSize: vr.wordSize).withRawBytes { Base64.append($0, to: &bytes) }
        } else {
            Base64.append(value, to: &bytes)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func raw(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @_disfavoredOverload
    private mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private static let digits = Array("0123456789ABCDEF".utf8)
}

/// The other order of the bytes of each number in a value (PS3.5 section 7.3).
package enum ByteOrder {
    package static func swapped(_ value: UnsafeRawBufferPointer, wordSize: Int) -> [UInt8] {
        var swapped = [UInt8](value)
        var index = 0
        while index + wordSize <= swapped.count {
            swapped[index..<index + wordSize].reverse()
            index += wordSize
        }
        return swapped
    }
}

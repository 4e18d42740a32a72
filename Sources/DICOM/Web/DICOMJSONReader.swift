// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Reads a data set in the DICOM JSON Model (PS3.18 annex F) into Explicit VR Little Endian.
package struct DICOMJSONReader {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// A value that comes by itself.
    package struct BulkValue {
        package let tag: Tag
        package let vr: VR
        package let uri: String
    }

    private static let nestingMaximum = ElementCursor.nestingMaximum

    /// The data set in tag order; bulk values are left out.
    package private(set) var elements: [DataSet.Element] = []
    package private(set) var bulkValues: [BulkValue] = []

    package init(_ json: JSONValue) throws(Failure) {
        (elements, bulkValues) = try Self.dataSet(json, depth: 0)
    }

    package subscript(tag: Tag) -> DataSet.Element? { elements.first { $0.tag == tag } }

    private static func dataSet(_ json: JSONValue, depth: Int) throws(Failure) -> ([DataSet.Element], [BulkValue]) {
        guard case .object(let members) = json else { throw Failure(description: "A data set must be a JSON object") }
        guard depth <= nestingMaximum else { throw Failure(description: "Sequences nested deeper than 64") }
        var elements: [DataSet.Element] = []
        var bulk: [BulkValue] = []
        var tags: Set<Tag> = []
        for (key, value) in members {
            guard let tag = Tag(compact: key) else {
                throw Failure(description: "\"\(key.prefix(40))\" is no tag of eight hexadecimal digits")
            }
            // Text in JSON is UTF-8, whatever its data set and their items said: who writes the elements says so.
            guard tag.group > 2, !tag.isGroupLength, tag != .specificCharacterSet else { continue }
            // Small letters make another name in JSON, and the same tag.
            guard tags.insert(tag).inserted else { throw Failure(description: "\(tag) is there twice") }
            // Items and their ends are no attributes (PS3.5 section 7.5).
            guard tag.group != 0xFFFE else { throw Failure(description: "\(tag) is no attribute's tag") }
            guard case .object(let parts) = value else {
                throw Failure(description: "\(tag) must be a JSON object with vr and Value")
            }
            let vr = try vr(of: tag, value)
            switch try content(tag, vr, parts) {
            case .address(let uri):
                guard depth == 0 else {
                    throw Failure(description: "Bulk data within sequences is not taken; send it inline")
                }
                bulk.append(BulkValue(tag: tag, vr: vr, uri: uri))
            case .bytes(let bytes): elements.append(DataSet.Element(tag: tag, vr: vr, value: bytes))
            case .values(let values): elements.append(try element(tag, vr, values, depth))
            }
        }
        return (elements.sorted { $0.tag < $1.tag }, bulk)
    }

    private static func vr(of tag: Tag, _ value: JSONValue) throws(Failure) -> VR {
        guard case .string(let letters)? = value["vr"] else {
            guard let known = DataDictionary.vr(of: tag) else {
                throw Failure(description: "\(tag) has no vr, and the dictionary does not know it")
            }
            return known
        }
        let bytes = Array(letters.utf8)
        guard bytes.count == 2 else { throw Failure(description: "\(tag): \"\(letters.prefix(10))\" is no VR") }
        let vr = VR(rawValue: UInt16(bytes[0]) << 8 | UInt16(bytes[1]))
        guard vr.isPlausible else { throw Failure(description: "\(tag): \"\(letters)\" is no VR") }
        return vr
    }

    /// What stands for an attribute's value (PS3.18 section F.2.2).
    private enum Content {
        case values([JSONValue])
        case bytes([UInt8])
        case address(String)
    }

    /// What is there but is not what it must be is refused: taken for nothing, it would be lost in silence.
    private static func content(_ tag: Tag, _ vr: VR, _ parts: [String: JSONValue]) throws(Failure) -> Content {
        // A sequence's items have no bytes of their own in JSON, nor an address (PS3.18 sections F.2.2 and F.2.6).
        if vr == .sq, parts["InlineBinary"] != nil || parts["BulkDataURI"] != nil {
            throw Failure(description: "\(tag) is a sequence: its items must be in Value")
        }
        if let address = parts["BulkDataURI"] {
            guard case .string(let uri) = address else {
                throw Failure(description: "BulkDataURI of \(tag) is no string")
            }
            return .address(uri)
        }
        if let inline = parts["InlineBinary"] {
            guard case .string(let text) = inline, let bytes = Base64.decode(text.utf8) else {
                throw Failure(description: "InlineBinary of \(tag) is no base 64")
            }
            return .bytes(bytes)
        }
        switch parts["Value"] {
        case .array(let values)?:
            guard values.isEmpty || !vr.isBinary else {
                throw Failure(description: "\(tag) has the VR \(vr): its bytes must be in InlineBinary")
            }
            return .values(values)
        case nil, .null?: return .values([])
        default: throw Failure(description: "Value of \(tag) is no array")
        }
    }

    private static func element(
        _ tag: Tag, _ vr: VR, _ values: [JSONValue], _ depth: Int
    ) throws(Failure) -> DataSet.Element {
        guard vr == .sq else { return DataSet.Element(tag: tag, vr: vr, value: try bytes(tag, vr, values)) }
        // Its undefined length would say that fragments follow (PS3.5 section A.4).
        guard tag != .pixelData else { throw Failure(description: "\(tag) is no sequence") }
        var items: [DataSet] = []
        for item in values {
            var dataSet = DataSet()
            (dataSet.elements, _) = try Self.dataSet(item, depth: depth + 1)
            items.append(dataSet)
        }
        return DataSet.Element(tag: tag, vr: .sq, value: [], items: items)
    }

    private static func bytes(_ tag: Tag, _ vr: VR, _ values: [JSONValue]) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        func wrong() -> Failure { Failure(description: "A value of \(tag) does not fit its VR \(vr)") }
        func add<Number: FixedWidthInteger>(_: Number.Type) throws(Failure) {
            for value in values {
                guard let number = integer(value).flatMap({ Number(exactly: $0) }) else { throw wrong() }
                bytes.appendLittleEndian(number)
            }
        }
        switch vr {
        case .us: try add(UInt16.self)
        case .ss: try add(Int16.self)
        case .ul: try add(UInt32.self)
        case .sl: try add(Int32.self)
        case .uv: try add(UInt64.self)
        case .sv: try add(Int64.self)
        case .fl:
            for value in values {
                guard let number = double(value) else { throw wrong() }
                bytes.appendLittleEndian(Float(number).bitPattern)
            }
        case .fd:
            for value in values {
                guard let number = double(value) else { throw wrong() }
                bytes.appendLittleEndian(number.bitPattern)
            }
        case .at:
            for value in values {
                guard case .string(let text) = value, let target = Tag(compact: text) else { throw wrong() }
                bytes.appendLittleEndian(target.group)
                bytes.appendLittleEndian(target.element)
            }
        default:
            var texts: [String] = []
            for value in values {
                guard let text = text(value, vr) else { throw wrong() }
                texts.append(text)
            }
            bytes = Array(texts.joined(separator: "\\").utf8)
        }
        return bytes
    }

    private static func integer(_ value: JSONValue) -> Int128? {
        switch value {
        case .integer(let number): Int128(number)
        case .string(let text): Int128(text)
        case .number(let number): Int128(exactly: number)
        default: nil
        }
    }

    private static func double(_ value: JSONValue) -> Double? {
        switch value {
        case .integer(let number): Double(number)
        case .number(let number): number
        case .string(let text):
            text == "NaN" ? .nan : text == "inf" ? .infinity : text == "-inf" ? -.infinity : Double(text)
        default: nil
        }
    }

    private static func text(_ value: JSONValue, _ vr: VR) -> String? {
        switch value {
        case .null: ""
        case .string(let text): text
        case .integer(let number): vr == .ds ? decimalString(Double(number), exact: String(number)) : String(number)
        case .number(let number):
            vr == .ds ? decimalString(number, exact: number.description) : number.description
        case .object where vr == .pn:
            ["Alphabetic", "Ideographic", "Phonetic"].map { group -> String in
                if case .string(let text)? = value[group] { return text }
                return ""
            }.joined(separator: "=").trimmedEquals
        default: nil
        }
    }
}

/// A number in the 16 bytes that a decimal string has (PS3.5 section 6.2), with as many digits as fit: of one that is too
/// long, the exponent must stay.
private func decimalString(_ number: Double, exact: String) -> String {
    var text = exact
    var digits: Int32 = 15
    while text.utf8.count > 16 {
        text = withVaList([digits, number]) { arguments in
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
                _ = vsnprintf(buffer.baseAddress, 32, "%.*g", arguments)
                return String(cString: buffer.baseAddress!)
            }
        }
        digits -= 1
    }
    return text
}

extension String {
    /// Without the `=` of groups that are not there.
    fileprivate var trimmedEquals: String {
        var rest = Substring(self)
        while rest.last == "=" { rest.removeLast() }
        return String(rest)
    }
}

extension DataSetWriter {
    /// Writes elements with their sequences.
    package mutating func append(_ elements: [DataSet.Element]) {
        for element in elements {
            guard let items = element.items else {
                append(element.tag, element.vr, element.value)
                continue
            }
            beginSequence(element.tag)
            for item in items {
                beginItem()
                append(item.elements)
                endItem()
            }
            endSequence()
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import Platform

/// Writes data sets in the Native DICOM Model (PS3.19 section A.1).
package struct XMLAttributeWriter: AttributeWriter {
    package private(set) var bytes: [UInt8] = []
    /// Items written of each sequence that is open.
    private var itemCounts: [Int] = []
    /// Private creators by group and block, of the data set and of each item that is open (PS3.5 section 7.8.1).
    private var creators: [[UInt32: String]] = [[:]]

    package init() {}

    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    package mutating func beginDocument() {
        raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>")
        raw("<NativeDicomModel xmlns=\"http://dicom.nema.org/PS3.19/models/NativeDICOM\" xml:space=\"preserve\">")
    }

    package mutating func endDocument() {
        raw("</NativeDicomModel>")
        creators = [[:]]
    }

    package mutating func beginSequence(_ tag: Tag) {
        beginAttribute(tag, .sq)
        itemCounts.append(0)
    }

    package mutating func beginItem() {
        itemCounts[itemCounts.count - 1] += 1
        raw("<Item number=\"\(itemCounts[itemCounts.count - 1])\">")
        creators.append([:])
    }

    package mutating func endItem() {
        raw("</Item>")
        creators.removeLast()
    }

    package mutating func endSequence() {
        itemCounts.removeLast()
        raw("</DicomAttribute>")
    }

    private mutating func beginAttribute(_ tag: Tag, _ vr: VR) {
        raw("<DicomAttribute tag=\"\(tag.compactDescription)\" vr=\"\(vr)\"")
        if let keyword = DataDictionary.keyword(of: tag) { raw(" keyword=\"\(keyword)\"") }
        if tag.isPrivate, let creator = creators[creators.count - 1][tag.rawValue >> 8] {
            raw(" privateCreator=\"")
            escape(creator)
            raw("\"")
        }
        raw(">")
    }

    package mutating func append(_ tag: Tag, _ vr: VR, bulkDataURI: String) {
        beginAttribute(tag, vr.isPlausible ? vr : .un)
        raw("<BulkData uri=\"")
        escape(bulkDataURI)
        raw("\"/></DicomAttribute>")
    }

    package mutating func append(_ tag: Tag, _ vr: VR, text: String) {
        beginAttribute(tag, vr)
        if !text.isEmpty {
            // By scalars: a backslash and the mark behind it are one character of Swift's.
            append(
                values: vr.isSingleText
                    ? [text]
                    : text.unicodeScalars.split(separator: "\\", omittingEmptySubsequences: false).map(String.init), vr)
        }
        raw("</DicomAttribute>")
    }

    package mutating func append(
        _ tag: Tag, _ vr: VR, _ value: UnsafeRawBufferPointer, _ characterSet: SpecificCharacterSet, isBigEndian: Bool
    ) {
        let vr = vr.isPlausible ? vr : .un
        if tag.isPrivateCreator {
            // Element 00xx names the creator of elements xx00 to xxFF.
            let block = tag.rawValue & 0xFFFF_0000 | (tag.rawValue & 0xFF) << 8
            creators[creators.count - 1][block >> 8] = characterSet.decodeValues(value, vr: .lo).first
        }
        beginAttribute(tag, vr)
        defer { raw("</DicomAttribute>") }
        guard value.count > 0 else { return }
        if vr.isText {
            if vr == .ur { return append(values: [SpecificCharacterSet.utf8.decode(value, vr: .ut)], vr) }
            let set = vr.isAffectedByCharacterSet ? characterSet : .ascii
            return append(values: vr.isSingleText ? [set.decode(value, vr: vr)] : set.decodeValues(value, vr: vr), vr)
        }
        switch vr {
        case .us: append(numbers: value, isBigEndian, UInt16.self) { String($0) }
        case .ss: append(numbers: value, isBigEndian, UInt16.self) { String(Int16(bitPattern: $0)) }
        case .ul: append(numbers: value, isBigEndian, UInt32.self) { String($0) }
        case .sl: append(numbers: value, isBigEndian, UInt32.self) { String(Int32(bitPattern: $0)) }
        case .uv: append(numbers: value, isBigEndian, UInt64.self) { String($0) }
        case .sv: append(numbers: value, isBigEndian, UInt64.self) { String(Int64(bitPattern: $0)) }
        case .fl: append(numbers: value, isBigEndian, UInt32.self) { Float(bitPattern: $0).description }
        case .fd: append(numbers: value, isBigEndian, UInt64.self) { Double(bitPattern: $0).description }
        case .at:
            append(numbers: value, isBigEndian, UInt32.self) { word in
                // The group stands first, in either order of bytes.
                (isBigEndian ? Tag(word) : Tag(word << 16 | word >> 16)).compactDescription
            }
        default:
            raw("<InlineBinary>")
            let size = vr.wordSize
            if isBigEndian, size > 1 {
                ByteOrder.swapped(value, wordSize: size).withRawBytes { Base64.append($0, to: &bytes) }
            } else {
                Base64.append(value, to: &bytes)
            }
            raw("</InlineBinary>")
        }
    }

    private mutating func append<Number: FixedWidthInteger>(
        numbers value: UnsafeRawBufferPointer, _ isBigEndian: Bool, _: Number.Type, _ text: (Number) -> String
    ) {
        let size = MemoryLayout<Number>.size
        guard value.count >= size else { return }
        for (index, offset) in stride(from: 0, through: value.count - size, by: size).enumerated() {
            let number: Number = isBigEndian ? value.bigEndian(at: offset) : value.littleEndian(at: offset)
            raw("<Value number=\"\(index + 1)\">\(text(number))</Value>")
        }
    }

    private mutating func append(values: [String], _ vr: VR) {
        guard values.contains(where: { !$0.isEmpty }) else { return }
        for (index, value) in values.enumerated() where !value.isEmpty {
            if vr == .pn {
                append(name: PersonName(value), index + 1)
            } else {
                raw("<Value number=\"\(index + 1)\">")
                escape(value)
                raw("</Value>")
            }
        }
    }

    private mutating func append(name: PersonName, _ number: Int) {
        raw("<PersonName number=\"\(number)\">")
        for (group, element) in [
            (name.alphabetic, "Alphabetic"), (name.ideographic, "Ideographic"), (name.phonetic, "Phonetic"),
        ] where !group.isEmpty {
            raw("<\(element)>")
            for (text, part) in [
                (group.familyName, "FamilyName"), (group.givenName, "GivenName"), (group.middleName, "MiddleName"),
                (group.prefix, "NamePrefix"), (group.suffix, "NameSuffix"),
            ] where !text.isEmpty {
                raw("<\(part)>")
                escape(text)
                raw("</\(part)>")
            }
            raw("</\(element)>")
        }
        raw("</PersonName>")
    }

    private mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// XML has no way to write most control characters (XML 1.0 section 2.2), so they become spaces.
    private mutating func escape(_ text: String) {
        // Neither are U+FFFE and U+FFFF characters of XML; their first byte is rare.
        guard !text.utf8.contains(0xEF) else {
            let scalars = text.unicodeScalars.map { $0.value == 0xFFFE || $0.value == 0xFFFF ? " " : $0 }
            return escape(utf8: String(String.UnicodeScalarView(scalars)).utf8)
        }
        escape(utf8: text.utf8)
    }

    private mutating func escape(utf8 text: String.UTF8View) {
        for byte in text {
            switch byte {
            case UInt8(ascii: "<"): raw("&lt;")
            case UInt8(ascii: ">"): raw("&gt;")
            case UInt8(ascii: "&"): raw("&amp;")
            case UInt8(ascii: "\""): raw("&quot;")
            case 0x0A, 0x0D, 0x09: raw("&#\(byte);")
            case 0..<0x20: bytes.append(0x20)
            default: bytes.append(byte)
            }
        }
    }
}

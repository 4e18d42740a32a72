// SPDX-License-Identifier: Apache-2.0
import Platform

/// Writes a data set in one of the uncompressed syntaxes: responses, query identifiers, file meta groups, re-encoded
/// instances. Sequences and items get undefined length, so that nothing is written twice.
package struct DataSetWriter {
    package private(set) var bytes: [UInt8] = []
    private let isImplicit: Bool
    private let isBigEndian: Bool

    package init(transferSyntax: TransferSyntax) {
        isImplicit = transferSyntax.isImplicitVR
        isBigEndian = transferSyntax.isBigEndian
    }

    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    /// Writes an element whose value bytes are already in this writer's byte order; odd values are padded
    /// (PS3.5 section 6.2: NUL for UI and bytes, space for text).
    package mutating func append(_ tag: Tag, _ vr: VR, _ value: UnsafeRawBufferPointer) {
        let isOdd = value.count & 1 == 1
        appendHeader(tag, vr, length: UInt32(value.count + (isOdd ? 1 : 0)))
        bytes.append(contentsOf: value)
        if isOdd { bytes.append(vr.padding) }
    }

    package mutating func append(_ tag: Tag, _ vr: VR, _ value: [UInt8]) {
        value.withUnsafeBytes { append(tag, vr, $0) }
    }

    /// Writes text of the default repertoire or text that is already encoded as UTF-8.
    package mutating func append(_ tag: Tag, _ vr: VR, text: String) {
        var text = text
        text.withUTF8 { append(tag, vr, UnsafeRawBufferPointer($0)) }
    }

    package mutating func append(_ tag: Tag, unsignedShort value: UInt16) {
        appendHeader(tag, .us, length: 2)
        appendNumber(value)
    }

    package mutating func append(_ tag: Tag, unsignedLong value: UInt32) {
        appendHeader(tag, .ul, length: 4)
        appendNumber(value)
    }

    package mutating func beginSequence(_ tag: Tag, vr: VR = .sq) { appendHeader(tag, vr, length: .max) }
    package mutating func endSequence() { appendDelimiter(0xE0DD, length: 0) }
    package mutating func beginItem() { appendDelimiter(0xE000, length: .max) }
    package mutating func endItem() { appendDelimiter(0xE00D, length: 0) }

    /// Writes the head of an element (PS3.5 section 7.1.2 and 7.1.3).
    package mutating func appendHeader(_ tag: Tag, _ vr: VR, length: UInt32) {
        appendNumber(tag.group)
        appendNumber(tag.element)
        if isImplicit {
            appendNumber(length)
            return
        }
        // A value too long for a short VR's 16-bit length is written as UN (PS3.5 section 6.2.2, note on CP-1066).
        let written = !vr.hasLongLength && length > 0xFFFF ? VR.un : vr
        bytes.append(UInt8(written.rawValue >> 8))
        bytes.append(UInt8(written.rawValue & 0xFF))
        if written.hasLongLength {
            bytes.append(0)
            bytes.append(0)
            appendNumber(length)
        } else {
            appendNumber(UInt16(length))
        }
    }

    package mutating func appendRaw(_ raw: UnsafeRawBufferPointer) { bytes.append(contentsOf: raw) }

    private mutating func appendDelimiter(_ element: UInt16, length: UInt32) {
        appendNumber(UInt16(0xFFFE))
        appendNumber(element)
        appendNumber(length)
    }

    private mutating func appendNumber<Number: FixedWidthInteger>(_ number: Number) {
        if isBigEndian { bytes.appendBigEndian(number) } else { bytes.appendLittleEndian(number) }
    }
}

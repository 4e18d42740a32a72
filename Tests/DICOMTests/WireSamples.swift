// SPDX-License-Identifier: Apache-2.0
import Platform

@testable import DICOM

/// Not the tag of a test.
typealias Tag = DICOM.Tag

/// Data sets byte by byte, written without the code under test.
struct Wire {
    let syntax: TransferSyntax
    private(set) var bytes: [UInt8] = []

    init(_ syntax: TransferSyntax) { self.syntax = syntax }

    static let le = TransferSyntax.explicitVRLittleEndian
    static let be = TransferSyntax.explicitVRBigEndian
    static let implicit = TransferSyntax.implicitVRLittleEndian
    static let jpeg = TransferSyntax.jpegBaseline
    static let undefined = UInt32.max

    mutating func number<Number: FixedWidthInteger>(_ number: Number) {
        if syntax.isBigEndian { bytes.appendBigEndian(number) } else { bytes.appendLittleEndian(number) }
    }

    mutating func tag(_ tag: UInt32) {
        number(UInt16(tag >> 16))
        number(UInt16(tag & 0xFFFF))
    }

    mutating func head(_ tag: UInt32, _ vr: String, _ length: UInt32, isImplicit: Bool? = nil) {
        self.tag(tag)
        guard !(isImplicit ?? syntax.isImplicitVR) else { return number(length) }
        bytes += Array(vr.utf8)
        if ["OB", "OW", "OF", "OD", "OL", "OV", "SQ", "UC", "UN", "UR", "UT", "SV", "UV"].contains(vr) {
            bytes += [0, 0]
            number(length)
        } else {
            number(UInt16(length))
        }
    }

    mutating func element(_ tag: UInt32, _ vr: String, _ value: [UInt8], isImplicit: Bool? = nil) {
        head(tag, vr, UInt32(value.count), isImplicit: isImplicit)
        bytes += value
    }

    mutating func text(_ tag: UInt32, _ vr: String, _ value: String) { element(tag, vr, Array(value.utf8)) }
    mutating func raw(_ raw: [UInt8]) { bytes += raw }

    /// A sequence (or anything with undefined length) around what `body` writes.
    mutating func undefined(_ tag: UInt32, _ vr: String = "SQ", _ body: (inout Wire) -> Void) {
        head(tag, vr, Wire.undefined)
        body(&self)
        delimiter(0xFFFE_E0DD, 0)
    }

    mutating func undefinedItem(_ body: (inout Wire) -> Void) {
        delimiter(0xFFFE_E000, Wire.undefined)
        body(&self)
        delimiter(0xFFFE_E00D, 0)
    }

    mutating func defined(_ tag: UInt32, _ vr: String = "SQ", _ body: (inout Wire) -> Void) {
        let content = inner(body)
        head(tag, vr, UInt32(content.count))
        bytes += content
    }

    mutating func definedItem(_ body: (inout Wire) -> Void) {
        let content = inner(body)
        delimiter(0xFFFE_E000, UInt32(content.count))
        bytes += content
    }

    /// An item tag with a value: a fragment.
    mutating func fragment(_ value: [UInt8]) {
        delimiter(0xFFFE_E000, UInt32(value.count))
        bytes += value
    }

    mutating func delimiter(_ tag: UInt32, _ length: UInt32) {
        self.tag(tag)
        number(length)
    }

    private func inner(_ body: (inout Wire) -> Void) -> [UInt8] {
        var content = Wire(syntax)
        body(&content)
        return content.bytes
    }

    static func make(_ syntax: TransferSyntax, _ body: (inout Wire) -> Void) -> [UInt8] {
        var wire = Wire(syntax)
        body(&wire)
        return wire.bytes
    }
}

/// What the tests read over and over.
enum WireSamples {
    /// Every kind of value and nesting; sequences of undefined length, as the writer under test makes them too.
    static func everything(_ syntax: TransferSyntax, isDefined: Bool = false) -> [UInt8] {
        Wire.make(syntax) { wire in
            wire.text(0x0008_0005, "CS", "ISO_IR 100")
            wire.text(0x0008_0016, "UI", "1.2.840.10008.5.1.4.1.1.2\0")
            wire.text(0x0008_0018, "UI", "1.2.3.4\0")
            wire.text(0x0010_0010, "PN", "Meier^Anna")
            request(&wire, isDefined)
            wire.head(0x0018_6020, "SL", 8)
            wire.number(Int32(-2))
            wire.number(Int32(0x0102_0304))
            wire.head(0x0018_6028, "FD", 8)
            wire.number((1.5).bitPattern)
            wire.head(0x0028_0009, "AT", 4)
            wire.tag(0x0018_1063)
            wire.head(0x0028_0010, "US", 2)
            wire.number(UInt16(512))
            wire.head(0x7FE0_0010, "OW", 12)
            for word: UInt16 in [1, 2, 3, 0x0102, 0xFFFE, 0xE000] { wire.number(word) }
        }
    }

    private static func request(_ wire: inout Wire, _ isDefined: Bool) {
        func items(_ wire: inout Wire) {
            func item(_ wire: inout Wire) {
                wire.text(0x0040_0009, "SH", "STEP1 ")
                if isDefined {
                    wire.defined(0x0040_0008, "SQ", empty)
                } else {
                    wire.undefined(0x0040_0008, "SQ", empty)
                }
            }
            if isDefined { wire.definedItem(item) } else { wire.undefinedItem(item) }
            if isDefined { wire.definedItem { _ in } } else { wire.undefinedItem { _ in } }
        }
        if isDefined { wire.defined(0x0018_9346, "SQ", items) } else { wire.undefined(0x0018_9346, "SQ", items) }
    }

    private static func empty(_ wire: inout Wire) {}

    /// Pixel data of three frames in five fragments, with the offset tables asked for.
    static func encapsulated(basic: Bool, extended: Bool) -> [UInt8] {
        Wire.make(Wire.jpeg) { wire in
            wire.text(0x0028_0008, "IS", "3 ")
            if extended {
                wire.head(0x7FE0_0001, "OV", 24)
                for offset: UInt64 in [0, 30, 44] { wire.number(offset) }
                wire.head(0x7FE0_0002, "OV", 24)
                for length: UInt64 in [10, 6, 12] { wire.number(length) }
            }
            wire.undefined(0x7FE0_0010, "OB") { wire in
                wire.fragment(
                    basic
                        ? Wire.make(Wire.jpeg) { table in for offset: UInt32 in [0, 30, 44] { table.number(offset) } }
                        : [])
                for (length, byte) in [(8, 1), (6, 2), (6, 3), (4, 4), (8, 5)] as [(Int, UInt8)] {
                    wire.fragment([UInt8](repeating: byte, count: length))
                }
            }
            wire.text(0xFFFC_FFFC, "OB", "pad ")
        }
    }

    /// Sequences nested `depth` deep.
    static func nested(_ depth: Int, _ syntax: TransferSyntax = Wire.le) -> [UInt8] {
        Wire.make(syntax) { wire in
            for _ in 0..<depth {
                wire.head(0x0040_0275, "SQ", Wire.undefined)
                wire.delimiter(0xFFFE_E000, Wire.undefined)
            }
            wire.text(0x0010_0020, "LO", "ID")
            for _ in 0..<depth {
                wire.delimiter(0xFFFE_E00D, 0)
                wire.delimiter(0xFFFE_E0DD, 0)
            }
        }
    }
}

/// The steps of a cursor as short words, from windows that are cut at the given places.
func steps(_ bytes: [UInt8], _ syntax: TransferSyntax, cuts: [Int] = []) throws -> [String] {
    var cursor = ElementCursor(transferSyntax: syntax)
    var words: [String] = []
    for end in cuts + [bytes.count] where words.last != "end" {
        let start = min(cursor.position, end)
        try bytes[start..<end].withUnsafeBytes { part in
            let window = ByteWindow(part, offset: start, isLast: end == bytes.count)
            while let word = try word(cursor.next(in: window)) {
                words.append(word)
                if word == "end" { return }
                precondition(words.count < 1_000_000, "the cursor stands still")
            }
        }
    }
    return words
}

/// Nil: needs more.
private func word(_ step: ElementCursor.Step) -> String? {
    switch step {
    case .element(let header): "\(header.tag) \(header.vr) \(header.valueRange) \(header.depth)"
    case .sequence(let header): "\(header.tag) \(header.vr) [ \(header.length.map(String.init) ?? "-")"
    case .itemStart: "{"
    case .itemEnd: "}"
    case .sequenceEnd: "]"
    case .encapsulated(let header): "\(header.tag) \(header.vr) <"
    case .fragment(let range): "fragment \(range)"
    case .encapsulatedEnd: ">"
    case .needsMore: nil
    case .end: "end"
    }
}

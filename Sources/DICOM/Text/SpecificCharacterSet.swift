// SPDX-License-Identifier: Apache-2.0

/// How the text of a data set is encoded: Specific Character Set (0008,0005), PS3.3 section C.12.1.1.2 and PS3.5
/// section 6.1.
///
/// Decoding is total, so that no text keeps an instance out of the archive. Where data sets declare nothing or only
/// the default repertoire and yet hold 8-bit bytes, these are read as UTF-8 if they are valid UTF-8 and as Latin-1
/// otherwise: nothing is lost for search. Values are immutable and may be shared between threads.
package struct SpecificCharacterSet: Sendable {
    private enum Scheme: Sendable {
        case undeclared, utf8
        case extensions(CodeExtensions)
        case multiByte(MultiByteEncoding)
    }

    /// In the standard's spelling, as they are to be written into (0008,0005) along with text from `encode`; empty
    /// for the default repertoire and for an override the standard has no term for.
    package let definedTerms: [String]
    /// What the declaration held and nobody knows; it is passed over.
    package let unknownTerms: [String]
    /// The encoding's name of an override that is no defined term.
    private let overrideName: String?
    private let scheme: Scheme

    /// Whether what is encoded is UTF-8 by declaration.
    var isUTF8: Bool {
        if case .utf8 = scheme { return true }
        return false
    }

    /// The default repertoire, ISO-IR 6.
    package static let ascii = SpecificCharacterSet(definedTerms: [])
    /// `ISO_IR 192`.
    package static let utf8 = SpecificCharacterSet(definedTerms: ["ISO_IR 192"])

    /// From the values of (0008,0005). Spelling does not matter much: letter case, blanks, underscores, "UTF-8" and
    /// the like are understood. Terms that allow no others beside them (`ISO_IR 192`, `GB18030`, `GBK`) prevail when
    /// they come first or beside the default repertoire only.
    package init(definedTerms values: [String]) {
        let read = values.map { (value: $0, term: DefinedTerm($0)) }
        let terms = read.compactMap(\.term)
        unknownTerms = read.filter { $0.term == nil }.map(\.value)
        overrideName = nil
        let alone = terms.first { $0.repertoire != .ascii }
        if let alone, alone.standsAlone {
            definedTerms = [alone.spelling(withCodeExtensions: false)]
            scheme = Self.scheme(of: alone)
            return
        }
        let extending = terms.filter { !$0.standsAlone }
        let isExtended = extending.count > 1
        let isDefault = extending.allSatisfy { $0.repertoire == .ascii }
        definedTerms = isDefault ? [] : extending.map { $0.spelling(withCodeExtensions: isExtended) }
        scheme = isDefault ? .undeclared : .extensions(CodeExtensions(extending))
    }

    /// From what an AE's configuration says in place of the data set: one of the defined terms or a name that the C
    /// library knows, such as `CP1251`. Nil for an unknown name and for an encoding that does not include ASCII.
    package init?(override name: String) {
        guard !name.isEmpty else { return nil }
        if let term = DefinedTerm(name) {
            self.init(definedTerms: [term.spelling(withCodeExtensions: false)])
            return
        }
        guard let encoding = MultiByteEncoding(name: name) else { return nil }
        let isSingleByte = Self.isSingleByte(name)
        self.init(
            overrideName: name.uppercased(),
            scheme: isSingleByte
                ? .extensions(CodeExtensions(single: GraphicSet(single: name))) : .multiByte(encoding))
    }

    private init(overrideName: String, scheme: Scheme) {
        definedTerms = []
        unknownTerms = []
        self.overrideName = overrideName
        self.scheme = scheme
    }

    private static func scheme(of term: DefinedTerm) -> Scheme {
        switch term.repertoire {
        case .gb18030: multiByte("GB18030")
        case .gbk: multiByte("GBK")
        default: .utf8
        }
    }

    /// A C library without the encoding leaves the lenient default, which is better than no text at all.
    private static func multiByte(_ name: String) -> Scheme {
        MultiByteEncoding(name: name).map { .multiByte($0) } ?? .undeclared
    }

    /// Whether each of the high bytes is a character, or none at all, without another behind it.
    private static func isSingleByte(_ name: String) -> Bool {
        guard let converter = IconvConverter(from: name, to: "UTF-8") else { return false }
        let lone = (UInt8(0x80)...0xFF).filter { byte in withUnsafeBytes(of: byte) { converter.convert($0) != nil } }
        let pairs = (UInt8(0x80)...0xFF).filter { byte in
            !lone.contains(byte) && withUnsafeBytes(of: (byte, UInt8(0xA4))) { converter.convert($0) != nil }
        }
        return pairs.isEmpty && !lone.isEmpty
    }
}

// MARK: - Reading

extension SpecificCharacterSet {
    /// The text of a value or of a whole element, delimiters and padding included. Bytes that mean nothing become
    /// U+FFFD. Attributes of VRs that the character set does not apply to are read as the default repertoire.
    package func decode(_ bytes: UnsafeRawBufferPointer, vr: VR) -> String {
        let features = Self.features(of: bytes)
        if features.isEmpty { return String(decoding: bytes, as: UTF8.self) }
        switch vr.isAffectedByCharacterSet ? scheme : .undeclared {
        case .undeclared: return Self.decodeUndeclared(bytes, features, vr: vr)
        case .utf8: return String(decoding: bytes, as: UTF8.self)
        case .multiByte(let encoding): return encoding.decode(bytes)
        case .extensions(let extensions):
            return Self.text(CodeExtensionDecoder(bytes, extensions, vr: vr).decode())
        }
    }

    /// The values of an element, without padding: trailing spaces and NULs, and leading spaces where these do not
    /// count (PS3.5 section 6.2). Text of ST, LT, UT and UR is one value whatever it holds. An empty element, or one
    /// of padding alone, has no values.
    package func decodeValues(_ bytes: UnsafeRawBufferPointer, vr: VR) -> [String] {
        let text = decode(bytes, vr: vr)
        let values: [String]
        if vr.isSingleText {
            values = [Self.trimmed(text.utf8[...], vr)]
        } else {
            values = text.utf8.split(separator: UInt8(ascii: "\\"), omittingEmptySubsequences: false)
                .map { Self.trimmed($0, vr) }
        }
        return values == [""] ? [] : values
    }

    /// The first of the values; nil: there is none.
    package func decodeFirstValue(_ bytes: UnsafeRawBufferPointer, vr: VR) -> String? {
        // Most text is ASCII, whose delimiters are found without decoding.
        guard Self.features(of: bytes).isEmpty, !vr.isSingleText, !vr.hasLeadingSpaces else {
            return decodeValues(bytes, vr: vr).first
        }
        let text = PlainText.first(bytes)
        // Of text, leading NULs are padding, too.
        if text.utf8.first == 0 { return decodeValues(bytes, vr: vr).first }
        return text.isEmpty && !bytes.contains(UInt8(ascii: "\\")) ? nil : text
    }

    private struct Features: OptionSet {
        let rawValue: UInt8
        static let highBytes = Features(rawValue: 1), escapes = Features(rawValue: 2)
    }

    private static func features(of bytes: UnsafeRawBufferPointer) -> Features {
        var all: UInt8 = 0
        var hasEscape = false
        for byte in bytes {
            all |= byte
            hasEscape = hasEscape || byte == 0x1B
        }
        var features: Features = all >= 0x80 ? .highBytes : []
        if hasEscape { features.insert(.escapes) }
        return features
    }

    private static func decodeUndeclared(_ bytes: UnsafeRawBufferPointer, _ features: Features, vr: VR) -> String {
        // An undeclared escape sequence still says what follows it.
        if features.contains(.escapes) {
            return text(CodeExtensionDecoder(bytes, CodeExtensions([]), vr: vr).decode())
        }
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count * 2)
        for byte in bytes { output.appendUTF8(UInt32(byte)) }
        return text(output)
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func trimmed(_ text: Substring.UTF8View, _ vr: VR) -> String {
        let isPadding = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == 0 }
        var rest = text
        while let last = rest.last, isPadding(last) { rest.removeLast() }
        if !vr.hasLeadingSpaces { rest = rest.drop(while: isPadding) }
        return String(Substring(rest))
    }
}

extension VR {
    /// Backslash is a character like any other in these (PS3.5 section 6.2).
    var isSingleText: Bool { self == .st || self == .lt || self == .ut || self == .ur }

    /// Leading spaces are part of the text (PS3.5 section 6.2).
    fileprivate var hasLeadingSpaces: Bool { self == .st || self == .lt || self == .ut || self == .uc }
}

// MARK: - Writing

extension SpecificCharacterSet {
    /// The text as bytes without padding, with escape sequences where several sets are declared; nil when the
    /// declared sets do not have one of the characters. Text of any VR may be passed, values and name components
    /// with their delimiters.
    package func encode(_ text: String) -> [UInt8]? {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return Array(text.utf8) }
        switch scheme {
        case .undeclared: return nil
        case .utf8: return Array(text.utf8)
        case .multiByte(let encoding): return encoding.encode(text)
        case .extensions(let extensions): return CodeExtensionEncoder(extensions).encode(text)
        }
    }
}

extension SpecificCharacterSet: Hashable {
    package static func == (left: SpecificCharacterSet, right: SpecificCharacterSet) -> Bool {
        left.definedTerms == right.definedTerms && left.unknownTerms == right.unknownTerms
            && left.overrideName == right.overrideName
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(definedTerms)
        hasher.combine(unknownTerms)
        hasher.combine(overrideName)
    }
}

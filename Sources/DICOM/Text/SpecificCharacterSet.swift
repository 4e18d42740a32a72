// SPDX-License-Identifier: Apache-2.0

/// The character set of a data set's text (PS3.3 section C.12.1.1.2), or the one that the operator says a sender really
/// uses. Decoding never fails: what is no text becomes U+FFFD, and the bytes stay as they are in the archive.
package struct SpecificCharacterSet: Sendable, Hashable {
    /// As they are written into (0008,0005); empty for the default repertoire.
    package let definedTerms: [String]
    /// Terms that no edition of the standard defines.
    package let unknownTerms: [String]
    private let repertoires: [CharacterRepertoire]
    /// An encoding outside the standard, such as CP1251.
    private let foreignEncoding: String?

    package static let ascii = SpecificCharacterSet(definedTerms: [])
    package static let utf8 = SpecificCharacterSet(definedTerms: ["ISO_IR 192"])

    /// - Parameter definedTerms: the values of (0008,0005), the first possibly empty.
    package init(definedTerms: [String]) {
        let given = definedTerms.filter { !$0.isEmpty }
        let found = given.map(CharacterRepertoire.named)
        self.definedTerms = given.isEmpty ? [] : definedTerms
        unknownTerms = zip(given, found).filter { $0.1 == nil }.map(\.0)
        let known = found.compactMap { $0 }
        repertoires = definedTerms.first?.isEmpty == true && !known.isEmpty ? [.ascii] + known : known
        foreignEncoding = nil
    }

    /// The set that configuration forces on a sender: a defined term or an encoding that iconv knows, such as `CP1251`.
    /// Nil for an empty or unknown name.
    package init?(override name: String) {
        guard !name.isEmpty else { return nil }
        unknownTerms = []
        if let repertoire = CharacterRepertoire.named(name) {
            definedTerms = [repertoire.term]
            repertoires = [repertoire]
            foreignEncoding = nil
        } else {
            guard TextConverter.knows(name) else { return nil }
            definedTerms = []
            repertoires = []
            foreignEncoding = name
        }
    }

    // MARK: Decoding

    /// The text of a whole value, delimiters included.
    package func decode(_ bytes: UnsafeRawBufferPointer, vr: VR) -> String {
        if bytes.allSatisfy({ $0 < 0x80 && $0 != 0x1B }) { return String(decoding: bytes, as: UTF8.self) }
        if let foreignEncoding { return TextConverter.decode(bytes, from: foreignEncoding) }
        guard let first = repertoires.first else { return Self.decodeUndeclared(bytes, vr: vr) }
        if first.shape == .whole { return TextConverter.decode(bytes, from: first.encoding) }
        if repertoires.count == 1, first == .ascii { return Self.decodeUndeclared(bytes, vr: vr) }
        return ISO2022Text.decode(bytes, first: first, vr: vr)
    }

    /// Eight-bit text that nothing declares: UTF-8 where it is that (it hardly ever is by chance), else Latin-1, so that
    /// each byte can at least be searched for.
    private static func decodeUndeclared(_ bytes: UnsafeRawBufferPointer, vr: VR) -> String {
        if bytes.contains(0x1B) { return ISO2022Text.decode(bytes, first: .ascii, vr: vr) }
        return String(validating: bytes, as: UTF8.self) ?? TextConverter.latin1(bytes)
    }

    /// The single values without their padding (PS3.5 section 6.2). The bytes are decoded first: in some sets the second
    /// byte of a character is that of a backslash.
    package func decodeValues(_ bytes: UnsafeRawBufferPointer, vr: VR) -> [String] {
        let text = decode(bytes, vr: vr)
        let isSingle = vr == .st || vr == .lt || vr == .ut || vr == .ur
        if isSingle { return [Self.trimmed(text[...], leading: false)] }
        return text.split(separator: "\\", omittingEmptySubsequences: false).map {
            Self.trimmed($0, leading: vr != .uc)
        }
    }

    private static func trimmed(_ text: Substring, leading: Bool) -> String {
        var scalars = text.unicodeScalars
        while let last = scalars.last, last == " " || last == "\0" { scalars.removeLast() }
        while leading, scalars.first == " " { scalars.removeFirst() }
        return String(scalars)
    }

    // MARK: Encoding

    /// The bytes of the text; nil if the set cannot carry it.
    package func encode(_ text: String) -> [UInt8]? {
        if let foreignEncoding { return TextConverter.encode(text, to: foreignEncoding) }
        guard let first = repertoires.first else { return text.utf8.allSatisfy { $0 < 0x80 } ? Array(text.utf8) : nil }
        if first.shape == .whole || repertoires.count == 1 && first.shape == .singleByte {
            return TextConverter.encode(text, to: first.encoding)
        }
        return ISO2022Text.encode(text, repertoires)
    }
}

extension String {
    /// Text if all of the bytes are valid.
    fileprivate init?(validating bytes: UnsafeRawBufferPointer, as encoding: UTF8.Type) {
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.utf8.elementsEqual(bytes) else { return nil }
        self = text
    }
}

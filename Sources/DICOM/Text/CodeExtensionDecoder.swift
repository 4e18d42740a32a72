// SPDX-License-Identifier: Apache-2.0

/// Reads text with escape sequences into UTF-8 (PS3.5 section 6.1.2.5). Understands all sequences of PS3.3 tables
/// C.12-3 and C.12-4, whether declared or not.
struct CodeExtensionDecoder {
    private let bytes: UnsafeRawBufferPointer
    private let extensions: CodeExtensions
    private let delimiters: [UInt8]
    private var position = 0
    /// Set of two bytes in G0; nil stands for ASCII and JIS X 0201 romaji.
    private var left: GraphicSet?
    private var right: GraphicSet?
    private var output: [UInt8] = []

    private static let escape: UInt8 = 0x1B

    init(_ bytes: UnsafeRawBufferPointer, _ extensions: CodeExtensions, vr: VR) {
        self.bytes = bytes
        self.extensions = extensions
        right = extensions.assumedRight
        delimiters = Self.delimiters(of: vr)
    }

    /// Where G0 and G1 return to their first sets, besides line ends and tabs (PS3.5 section 6.1.2.5.3).
    private static func delimiters(of vr: VR) -> [UInt8] {
        switch vr {
        case .pn: [UInt8(ascii: "^"), UInt8(ascii: "="), UInt8(ascii: "\\")]
        case .st, .lt, .ut, .ur: []
        default: [UInt8(ascii: "\\")]
        }
    }

    consuming func decode() -> [UInt8] {
        output.reserveCapacity(bytes.count * 2)
        while position < bytes.count { step() }
        return output
    }

    private mutating func step() {
        let byte = bytes[position]
        switch byte {
        case Self.escape: takeEscapeSequence()
        case 0x80...: takeRight(byte)
        case 0x21...0x7E where left != nil: takeLeft(byte)
        default: takePlain(byte)
        }
    }

    private mutating func takePlain(_ byte: UInt8) {
        output.append(byte)
        position += 1
        let isControl = byte == 0x09 || byte == 0x0A || byte == 0x0C || byte == 0x0D
        if isControl || delimiters.contains(byte) {
            left = nil
            right = extensions.assumedRight
        }
    }

    private mutating func takeLeft(_ byte: UInt8) {
        let next = byteAhead(1)
        guard (0x21...0x7E).contains(next) else { return replace(1) }
        append(left?.scalar(of: byte, next), width: 2)
    }

    private mutating func takeRight(_ byte: UInt8) {
        // Without a set in G1 nothing is known about the byte: Latin-1, as for the default repertoire.
        guard let set = right else { return append(UInt32(byte), width: 1) }
        guard set.width == 2 else { return append(set.scalar(of: byte), width: 1) }
        let next = byteAhead(1)
        guard byte >= 0xA1, next >= 0xA1 else { return replace(1) }
        append(set.scalar(of: byte, next), width: 2)
    }

    private mutating func append(_ scalar: UInt32?, width: Int) {
        guard let scalar else { return replace(width) }
        output.appendUTF8(scalar)
        position += width
    }

    private mutating func replace(_ width: Int) {
        output.append(contentsOf: [UInt8].replacementCharacter)
        position += width
    }

    /// 0 behind the end.
    private func byteAhead(_ distance: Int) -> UInt8 {
        position + distance < bytes.count ? bytes[position + distance] : 0
    }

    private mutating func takeEscapeSequence() {
        switch (byteAhead(1), byteAhead(2)) {
        case (0x28, 0x42), (0x28, 0x4A): designate(left: nil, length: 3)
        // 04/00 is the edition of 1978 of the same set.
        case (0x24, 0x42), (0x24, 0x40): designate(left: .kanji, length: 3)
        case (0x24, 0x28): takeLongEscapeSequence()
        case (0x24, 0x29): takeLongEscapeSequence()
        case (0x29, 0x49): designate(right: .katakana, length: 3)
        case (0x2D, let final):
            guard let set = GraphicSet.single(final: final) else { return replace(1) }
            designate(right: set, length: 3)
        default: replace(1)
        }
    }

    private mutating func takeLongEscapeSequence() {
        switch (byteAhead(2), byteAhead(3)) {
        case (0x28, 0x42): designate(left: .kanji, length: 4)
        case (0x28, 0x44): designate(left: .supplementaryKanji, length: 4)
        case (0x29, 0x41): designate(right: .simplifiedChinese, length: 4)
        case (0x29, 0x43): designate(right: .korean, length: 4)
        default: replace(1)
        }
    }

    private mutating func designate(left set: GraphicSet?, length: Int) {
        left = set
        position += length
    }

    private mutating func designate(right set: GraphicSet, length: Int) {
        right = set
        position += length
    }
}

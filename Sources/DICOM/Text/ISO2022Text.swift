// SPDX-License-Identifier: Apache-2.0

/// Text with code extensions (PS3.5 section 6.1.2.5): escape sequences switch the lower (G0) or upper (G1) half, and
/// delimiters switch back to what the first value of Specific Character Set says.
struct ISO2022Text {
    private static let escape: UInt8 = 0x1B
    private let initialG1: CharacterRepertoire
    private let isPersonName: Bool
    private var g0 = CharacterRepertoire.ascii
    private var g1: CharacterRepertoire
    private var output = ""
    private var run: [UInt8] = []
    private var runRepertoire = CharacterRepertoire.ascii

    private init(_ first: CharacterRepertoire, isPersonName: Bool) {
        initialG1 = first
        g1 = first
        self.isPersonName = isPersonName
    }

    /// - Parameter first: the repertoire of the first value, in force at the start and behind each delimiter.
    static func decode(_ bytes: UnsafeRawBufferPointer, first: CharacterRepertoire, vr: VR) -> String {
        var text = ISO2022Text(first, isPersonName: vr == .pn)
        text.decode(bytes)
        return text.output
    }

    private mutating func decode(_ bytes: UnsafeRawBufferPointer) {
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == Self.escape {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[(index + 1)...])
                if let (repertoire, length) = CharacterRepertoire.called(by: rest) {
                    callIn(repertoire)
                    index += 1 + length
                    continue
                }
            }
            if byte >= 0x80 {
                append(byte, g1)
            } else if g0.shape == .doubleByteG0, byte > 0x20, byte < 0x7F {
                append(byte, g0)
            } else {
                append(byte, .ascii)
                if isDelimiter(byte) { reset() }
            }
            index += 1
        }
        flush()
    }

    private mutating func callIn(_ repertoire: CharacterRepertoire) {
        flush()
        switch repertoire.shape {
        case .doubleByteG0: g0 = repertoire
        case .singleByte where repertoire == .ascii: g0 = .ascii
        default: g1 = repertoire
        }
    }

    /// PS3.5 section 6.1.2.5.3.
    private func isDelimiter(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x5C, 0x0A, 0x0C, 0x0D, 0x09: true
        case 0x5E, 0x3D: isPersonName
        default: false
        }
    }

    private mutating func reset() {
        flush()
        g0 = .ascii
        g1 = initialG1
    }

    private mutating func append(_ byte: UInt8, _ repertoire: CharacterRepertoire) {
        if repertoire != runRepertoire {
            flush()
            runRepertoire = repertoire
        }
        run.append(byte)
    }

    private mutating func flush() {
        guard !run.isEmpty else { return }
        switch (runRepertoire.shape, runRepertoire.number) {
        case (.doubleByteG0, 159): run = Self.jis0212AsEUC(run)
        case (.doubleByteG0, _): run = run.map { $0 | 0x80 }
        default: break
        }
        output += run.withUnsafeBytes { TextConverter.decode($0, from: runRepertoire.encoding) }
        run = []
    }

    /// JIS X 0212 in EUC-JP: each pair behind 8FH.
    private static func jis0212AsEUC(_ bytes: [UInt8]) -> [UInt8] {
        bytes.enumerated().flatMap { index, byte in index % 2 == 0 ? [0x8F, byte | 0x80] : [byte | 0x80] }
    }

    // MARK: Encoding

    /// Each stretch between delimiters in the first repertoire that carries it; nil if none does.
    static func encode(_ text: String, _ repertoires: [CharacterRepertoire]) -> [UInt8]? {
        var output: [UInt8] = []
        var stretch = ""
        func flush() -> Bool {
            guard !stretch.isEmpty else { return true }
            defer { stretch = "" }
            for (index, repertoire) in repertoires.enumerated() {
                guard let bytes = encode(stretch, repertoire, isFirst: index == 0) else { continue }
                output += bytes
                return true
            }
            return false
        }
        for character in text {
            guard "\\^=\r\n\t\u{0C}".contains(character) else {
                stretch.append(character)
                continue
            }
            guard flush() else { return nil }
            output += Array(character.utf8)
        }
        return flush() ? output : nil
    }

    private static func encode(_ stretch: String, _ repertoire: CharacterRepertoire, isFirst: Bool) -> [UInt8]? {
        guard let bytes = TextConverter.encode(stretch, to: repertoire.encoding) else { return nil }
        let call = isFirst ? [] : [escape] + repertoire.escape
        switch repertoire.shape {
        case .singleByte, .katakana, .doubleByteG1: return bytes.allSatisfy { $0 < 0x80 } ? bytes : call + bytes
        case .doubleByteG0:
            if bytes.allSatisfy({ $0 < 0x80 }) { return bytes }
            // Pairs of this set alone: an EUC text with others in it is not for one call.
            let isThree = repertoire.number == 159
            let pairs = isThree ? bytes.filter { $0 != 0x8F } : bytes
            guard pairs.allSatisfy({ $0 >= 0xA1 }), isThree == bytes.contains(0x8F), !bytes.contains(0x8E) else {
                return nil
            }
            return [escape] + repertoire.escape + pairs.map { $0 & 0x7F } + [escape] + CharacterRepertoire.ascii.escape
        case .whole: return nil
        }
    }
}

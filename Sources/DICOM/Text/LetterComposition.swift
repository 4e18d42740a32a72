// SPDX-License-Identifier: Apache-2.0

/// The canonical compositions that make another letter and not an accented one, of folded letters.
enum LetterComposition {
    /// A letter and a combining mark; nil where the mark is an accent to drop.
    static func letter(_ base: UInt32, mark: UInt32) -> UInt32? {
        switch (base, mark) {
        case (0x0438, 0x0306): 0x0439  // й
        case (0x0443, 0x0306): 0x045E  // ў
        case (0x0456, 0x0308): 0x0457  // ї
        case (0x0433, 0x0301): 0x0453  // ѓ
        case (0x043A, 0x0301): 0x045C  // ќ
        case (_, 0x3099): voiced(base)
        case (_, 0x309A): halfVoiced(base)
        default: nil
        }
    }

    /// Kana with dakuten follow their plain ones; hiragana and katakana lie 60H apart.
    private static func voiced(_ base: UInt32) -> UInt32? {
        switch base {
        case 0x3046, 0x30A6: return base + 0x4E
        case 0x30EF...0x30F2: return base + 8
        default: break
        }
        switch base >= 0x30A1 ? base - 0x60 : base {
        case 0x304B, 0x304D, 0x304F, 0x3051, 0x3053, 0x3055, 0x3057, 0x3059, 0x305B, 0x305D, 0x305F, 0x3061, 0x3064,
            0x3066, 0x3068, 0x306F, 0x3072, 0x3075, 0x3078, 0x307B:
            return base + 1
        default: return nil
        }
    }

    private static func halfVoiced(_ base: UInt32) -> UInt32? {
        switch base >= 0x30A1 ? base - 0x60 : base {
        case 0x306F, 0x3072, 0x3075, 0x3078, 0x307B: base + 2
        default: nil
        }
    }

    /// Two jamo, or a syllable without a final consonant and one (Unicode section 3.12).
    static func hangul(_ first: UInt32, _ second: UInt32) -> UInt32? {
        switch (first, second) {
        case (0x1100...0x1112, 0x1161...0x1175):
            0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28
        case (0xAC00...0xD7A3, 0x11A8...0x11C2) where (first - 0xAC00) % 28 == 0:
            first + second - 0x11A7
        default: nil
        }
    }
}

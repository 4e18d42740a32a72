// SPDX-License-Identifier: Apache-2.0

/// Collects folded characters and lays out spaces and delimiters: those at the end are held back, and what never
/// gets a letter behind it never gets out.
struct FoldingWriter {
    private var output: [UInt8] = []
    /// The last letter, as long as a mark may still join it.
    private var last: UInt32 = 0
    private var hasSpace = false
    private var carets = 0
    private var groups = 0

    init(capacity: Int) { output.reserveCapacity(capacity) }

    /// The folded text.
    var text: String { String(decoding: output, as: UTF8.self) }

    /// Adds a letter, space or delimiter.
    mutating func put(_ scalar: UInt32) {
        switch scalar {
        case 0x20, 0x09...0x0D, 0xA0, 0x85:
            hasSpace = true
            last = 0
        case 0, 0xAD: break
        case 0x5E:
            carets += 1
            startComponent()
        case 0x3D:
            groups += 1
            carets = 0
            startComponent()
        default: putLetter(scalar)
        }
    }

    private mutating func startComponent() {
        hasSpace = false
        last = 0
    }

    private mutating func putLetter(_ scalar: UInt32) {
        flush()
        if let joined = LetterComposition.hangul(last, scalar) { return replaceLast(joined) }
        output.appendUTF8(scalar)
        last = scalar
    }

    private mutating func flush() {
        if hasSpace, carets == 0, groups == 0, !output.isEmpty { output.append(UInt8(ascii: " ")) }
        if groups > 0 { output.append(contentsOf: repeatElement(UInt8(ascii: "="), count: groups)) }
        if carets > 0 { output.append(contentsOf: repeatElement(UInt8(ascii: "^"), count: carets)) }
        hasSpace = false
        carets = 0
        groups = 0
    }

    /// Joins a combining mark to the letter before it where that makes another letter; drops it elsewhere.
    mutating func combine(_ mark: UInt32) {
        guard let joined = LetterComposition.letter(last, mark: mark) else { return }
        replaceLast(joined)
    }

    private mutating func replaceLast(_ scalar: UInt32) {
        while let byte = output.popLast(), byte & 0xC0 == 0x80 {}
        output.appendUTF8(scalar)
        last = scalar
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Writes text with the escape sequences it needs (PS3.5 section 6.1.2.5).
struct CodeExtensionEncoder {
    private let extensions: CodeExtensions
    private var output: [UInt8] = []
    private var left: GraphicSet?
    private var right: GraphicSet?
    /// Behind a character that resets the sets in some VRs only, G1 has to be designated anew to be sure of it.
    private var isRightCertain = true

    init(_ extensions: CodeExtensions) {
        self.extensions = extensions
        right = extensions.firstRight
    }

    /// Nil when no declared set has one of the characters.
    consuming func encode(_ text: String) -> [UInt8]? {
        output.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            if scalar.isASCII {
                putPlain(UInt8(truncatingIfNeeded: scalar.value))
            } else {
                guard put(scalar.value) else { return nil }
            }
        }
        returnToPlain()
        return output
    }

    private mutating func putPlain(_ byte: UInt8) {
        returnToPlain()
        output.append(byte)
        switch byte {
        case UInt8(ascii: "^"), UInt8(ascii: "="), UInt8(ascii: "\\"), 0x09, 0x0A, 0x0C, 0x0D:
            isRightCertain = isRightCertain && right === extensions.firstRight
        default: break
        }
    }

    private mutating func put(_ scalar: UInt32) -> Bool {
        let candidates = [isRightCertain ? right : nil, left].compactMap { $0 } + extensions.declared
        for set in candidates {
            guard let bytes = set.bytes(of: scalar) else { continue }
            if set.isRight { designateRight(set) } else { designateLeft(set) }
            output.append(contentsOf: bytes)
            return true
        }
        return false
    }

    private mutating func designateRight(_ set: GraphicSet) {
        guard set !== right || !isRightCertain else { return }
        output.append(0x1B)
        output.append(contentsOf: set.designator)
        right = set
        isRightCertain = true
    }

    private mutating func designateLeft(_ set: GraphicSet) {
        guard set !== left else { return }
        output.append(0x1B)
        output.append(contentsOf: set.designator)
        left = set
    }

    /// ASCII in G0, before delimiters and at the end (PS3.5 section 6.1.2.5.3).
    private mutating func returnToPlain() {
        guard left != nil else { return }
        output.append(0x1B)
        output.append(contentsOf: extensions.leftDesignator)
        left = nil
    }
}

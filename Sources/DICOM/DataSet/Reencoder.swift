// SPDX-License-Identifier: Apache-2.0
import Platform

/// Re-encodes a data set from one uncompressed transfer syntax to another, piece by piece: heads are written anew, values
/// keep their bytes but for their order. Group lengths are left out (retired, PS3.5 section 7.2), for they would be wrong.
package struct Reencoder {
    private var cursor: ElementCursor
    private var writer: DataSetWriter
    private let targetIsBigEndian: Bool
    /// The value that is being copied, as far as it is still to come.
    private var value: (range: Range<Int>, wordSize: Int, isKept: Bool)?
    /// Bits Allocated of the image, for its pixel data: a cell of 32 bits is one number, though its VR is OW.
    private var bitsAllocated = 16
    private var isAtBitsAllocated = false
    private let sourceIsBigEndian: Bool
    private var padding: UInt8?
    /// Top-level elements to be written in place of those that are there, or where they belong; in tag order.
    private var replacements: ArraySlice<DataSet.Element>
    private var depth = 0
    package private(set) var isComplete = false

    /// - Parameter replacements: top-level elements, their values in the target's byte order, to be written in place of
    ///   those that are there or where they belong; omitted ones are left out.
    package init(
        from source: TransferSyntax, to target: TransferSyntax, position: Int, replacements: [DataSet.Element] = []
    ) {
        self.replacements = replacements.sorted { $0.tag < $1.tag }[...]
        cursor = ElementCursor(transferSyntax: source, position: position)
        writer = DataSetWriter(transferSyntax: target)
        targetIsBigEndian = target.isBigEndian
        sourceIsBigEndian = source.isBigEndian
    }

    /// The next window must begin here, or earlier.
    package var position: Int { value?.range.lowerBound ?? cursor.position }

    /// Goes on as far as the window reaches, and returns what was written; valid until the next call.
    package mutating func consume(_ window: ByteWindow) throws(DataSetError) -> [UInt8] {
        writer.removeAll()
        while !isComplete {
            if value != nil {
                guard copyValue(from: window) else {
                    if window.isLast { throw .endsEarly(at: window.end) }
                    break
                }
                continue
            }
            switch try cursor.next(in: window) {
            case .element(let header): begin(header)
            case .sequence(let header):
                if depth == 0 { _ = writeReplacements(before: header.tag) }
                depth += 1
                writer.beginSequence(header.tag)
            case .itemStart: writer.beginItem()
            case .itemEnd: writer.endItem()
            case .sequenceEnd:
                depth -= 1
                writer.endSequence()
            case .encapsulated(let header): throw .unexpectedItem(header.tag, at: header.offset)
            case .fragment, .encapsulatedEnd: break
            case .needsMore: return writer.bytes
            case .end:
                _ = writeReplacements(before: Tag(.max))
                isComplete = true
            }
        }
        return writer.bytes
    }

    private mutating func begin(_ header: ElementHeader) {
        var isKept = !header.tag.isGroupLength && header.tag.group != 0xFFFE
        if depth == 0, writeReplacements(before: header.tag) { isKept = false }
        if isKept {
            let length = header.length ?? 0
            writer.appendHeader(header.tag, header.vr, length: UInt32(length + (length & 1)))
            padding = length & 1 == 1 ? header.vr.padding : nil
        }
        isAtBitsAllocated = depth == 0 && header.tag == .bitsAllocated
        var wordSize = header.vr.wordSize
        if depth == 0, header.tag == .pixelData, bitsAllocated == 32 || bitsAllocated == 64 {
            wordSize = bitsAllocated / 8
        }
        value = (header.valueRange, cursor.isBigEndian != targetIsBigEndian ? wordSize : 1, isKept)
    }

    /// - Returns: whether the element of this tag was among them.
    private mutating func writeReplacements(before tag: Tag) -> Bool {
        while let next = replacements.first, next.tag <= tag {
            replacements.removeFirst()
            if !next.isOmitted { writer.append(next.tag, next.vr, next.value) }
            if next.tag == tag { return true }
        }
        return false
    }

    /// - Returns: whether the value is complete.
    private mutating func copyValue(from window: ByteWindow) -> Bool {
        guard let (range, wordSize, isKept) = value else { return true }
        var end = min(range.upperBound, max(window.end, range.lowerBound))
        // A word that is cut by the window's end waits for the next one.
        if end < range.upperBound { end -= (end - range.lowerBound) % wordSize }
        if isAtBitsAllocated, let bytes = window.part(range), bytes.count >= 2 {
            bitsAllocated = Int(sourceIsBigEndian ? bytes.bigEndian(at: 0, as: UInt16.self) : bytes.littleEndian(at: 0))
        }
        if isKept, end > range.lowerBound, let bytes = window.part(range.lowerBound..<end) { append(bytes, wordSize) }
        guard end == range.upperBound else {
            value = (end..<range.upperBound, wordSize, isKept)
            return false
        }
        if isKept, let padding { withUnsafeBytes(of: padding) { writer.appendRaw($0) } }
        padding = nil
        value = nil
        return true
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer, _ wordSize: Int) {
        guard wordSize > 1 else { return writer.appendRaw(bytes) }
        ByteOrder.swapped(bytes, wordSize: wordSize).withRawBytes { writer.appendRaw($0) }
    }
}

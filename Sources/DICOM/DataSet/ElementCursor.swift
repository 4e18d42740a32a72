// SPDX-License-Identifier: Apache-2.0
import Platform

/// What a data set does wrong; the sentence goes into the sender's Error Comment.
package enum DataSetError: Error, Equatable, CustomStringConvertible {
    case endsEarly(at: Int)
    case lengthExceedsParent(Tag, at: Int)
    case unexpectedItem(Tag, at: Int)
    case nestedTooDeep(at: Int)
    case inflationFailed
    case inflatesTooMuch

    package var description: String {
        switch self {
        case .endsEarly(let offset): "Data set ends early at byte \(offset)"
        case .lengthExceedsParent(let tag, let offset): "\(tag) at byte \(offset) is longer than what holds it"
        case .unexpectedItem(let tag, let offset): "\(tag) out of place at byte \(offset)"
        case .nestedTooDeep(let offset): "Sequences nested deeper than 64 at byte \(offset)"
        case .inflationFailed: "Deflated data set cannot be inflated"
        case .inflatesTooMuch: "Deflated data set inflates beyond the limit"
        }
    }
}

/// Consecutive bytes of a data set: all of it, or the part that has arrived, or a piece read from disk.
package struct ByteWindow {
    package let bytes: UnsafeRawBufferPointer
    /// Where the first byte stands in the whole.
    package let offset: Int
    /// Whether the whole ends where this window does.
    package let isLast: Bool

    package init(_ bytes: UnsafeRawBufferPointer, offset: Int = 0, isLast: Bool) {
        self.bytes = bytes
        self.offset = offset
        self.isLast = isLast
    }

    package var end: Int { offset + bytes.count }

    /// The bytes in `range` of the whole, if this window holds them.
    package func part(_ range: Range<Int>) -> UnsafeRawBufferPointer? {
        guard range.lowerBound >= offset, range.upperBound <= end else { return nil }
        return bytes.part(range.lowerBound - offset..<range.upperBound - offset)
    }
}

/// The head of a data element and where its value stands.
package struct ElementHeader: Equatable {
    package let tag: Tag
    package let vr: VR
    /// Offset of the tag in the whole.
    package let offset: Int
    package let valueOffset: Int
    /// nil: undefined length (FFFFFFFFH).
    package let length: Int?
    /// Number of sequences around the element.
    package let depth: Int

    package var valueRange: Range<Int> { valueOffset..<valueOffset + (length ?? 0) }
}

/// Walks over the elements of a data set in any uncompressed or encapsulated syntax (PS3.5 section 7), one step a call.
/// It looks at heads only and jumps over values, keeps its place between windows, and never recurses: nesting is a
/// stack of at most 64 sequences, since a sender may nest as deep as its bytes go.
package struct ElementCursor {
    package static let nestingMaximum = 64

    package enum Step {
        case element(ElementHeader)
        /// A sequence's head; its items follow.
        case sequence(ElementHeader)
        case itemStart
        case itemEnd
        case sequenceEnd
        /// The head of encapsulated pixel data; its fragments follow, the first one being the Basic Offset Table.
        case encapsulated(ElementHeader)
        /// A fragment's value.
        case fragment(Range<Int>)
        /// Behind the delimiter of encapsulated pixel data.
        case encapsulatedEnd
        /// The bytes from `position` on are needed, at least eight or to the end.
        case needsMore
        case end
    }

    private struct Container {
        let kind: Kind
        /// nil: until the delimiter.
        let end: Int?
        /// How what is around it is encoded, for when it ends.
        let isImplicit: Bool
        let isBigEndian: Bool
        enum Kind { case sequence, item, fragments }
    }

    /// Where the next head is expected.
    package private(set) var position: Int
    /// The order of bytes at the position.
    package private(set) var isBigEndian: Bool
    private var isImplicit: Bool
    private var containers: [Container] = []
    private var sequenceDepth = 0

    package init(transferSyntax: TransferSyntax, position: Int = 0) {
        isImplicit = transferSyntax.isImplicitVR
        isBigEndian = transferSyntax.isBigEndian
        self.position = position
    }

    /// Steps over the fragments of the encapsulated pixel data just met, whose end is known from elsewhere.
    package mutating func skipFragments(to end: Int) {
        precondition(containers.last?.kind == .fragments)
        containers.removeLast()
        position = end
    }

    /// The next step; `needsMore` changes nothing, so that the call can be made again with a later window.
    package mutating func next(in window: ByteWindow) throws(DataSetError) -> Step {
        if let container = containers.last, let end = container.end, position >= end {
            guard position == end else { throw .lengthExceedsParent(Tag(0xFFFE_E000), at: end) }
            return leave(container)
        }
        guard position >= window.offset, let head = window.part(position..<position + 8) else {
            return try outsideWindow(window)
        }
        var tag = readTag(head)
        if tag.group == 0xFEFF, containers.last?.kind == .sequence {
            // Within a sequence there are items and nothing else, so this is one in the other order of bytes: what broken
            // writers put into UN.
            isBigEndian.toggle()
            tag = readTag(head)
        }
        if tag.group == 0xFFFE { return try delimiter(tag, length: number(head, at: 4)) }
        if let last = containers.last, last.kind != .item { throw .unexpectedItem(tag, at: position) }
        return try element(tag, head: head, window: window)
    }

    private func outsideWindow(_ window: ByteWindow) throws(DataSetError) -> Step {
        guard window.isLast, position + 8 > window.end else { return .needsMore }
        // Some writers pad the whole with zeros; less than a head of them is no element.
        if position <= window.end, containers.allSatisfy({ $0.end == nil || $0.end == position }),
            let rest = window.part(position..<window.end), rest.allSatisfy({ $0 == 0 })
        {
            guard containers.isEmpty else { throw .endsEarly(at: window.end) }
            return .end
        }
        throw .endsEarly(at: window.end)
    }

    // MARK: Elements

    private mutating func element(
        _ tag: Tag, head: UnsafeRawBufferPointer, window: ByteWindow
    ) throws(DataSetError) -> Step {
        var vr = VR.un
        var headerLength = 8
        var length: UInt32
        let letters = VR(rawValue: UInt16(head[4]) << 8 | UInt16(head[5]))
        if isImplicit || !letters.isPlausible {
            // No VR's letters in an explicit syntax: such elements are written as implicit ones by broken writers.
            vr = DataDictionary.vr(of: tag) ?? .un
            length = number(head, at: 4)
        } else if letters.hasLongLength {
            vr = letters
            headerLength = 12
            guard let long = window.part(position..<position + 12) else {
                if window.isLast { throw .endsEarly(at: window.end) }
                return .needsMore
            }
            length = number(long, at: 8)
        } else {
            vr = letters
            length = UInt32(
                isBigEndian ? head.bigEndian(at: 6, as: UInt16.self) : head.littleEndian(at: 6, as: UInt16.self))
        }
        let header = ElementHeader(
            tag: tag, vr: vr, offset: position, valueOffset: position + headerLength,
            length: length == .max ? nil : Int(length), depth: sequenceDepth)
        return try enter(header)
    }

    private mutating func enter(_ header: ElementHeader) throws(DataSetError) -> Step {
        let end = try header.length.map { length throws(DataSetError) in
            try checkedEnd(header.valueOffset, length, header.tag)
        }
        if end == nil, header.tag == Tag(0x7FE0_0010) {
            containers.append(Container(kind: .fragments, end: nil, isImplicit: isImplicit, isBigEndian: isBigEndian))
            position = header.valueOffset
            return .encapsulated(header)
        }
        // An undefined length can only be a sequence's; UN with one holds items in Implicit VR Little Endian, whatever is
        // around it (PS3.5 section 6.2.2).
        guard header.vr == .sq || end == nil else {
            position = end!
            return .element(header)
        }
        guard sequenceDepth < Self.nestingMaximum else { throw .nestedTooDeep(at: header.offset) }
        containers.append(Container(kind: .sequence, end: end, isImplicit: isImplicit, isBigEndian: isBigEndian))
        if header.vr == .un {
            isImplicit = true
            isBigEndian = false
        }
        sequenceDepth += 1
        position = header.valueOffset
        return .sequence(header)
    }

    private func checkedEnd(_ start: Int, _ length: Int, _ tag: Tag) throws(DataSetError) -> Int {
        let end = start + length
        if let parentEnd = containers.last?.end, end > parentEnd { throw .lengthExceedsParent(tag, at: position) }
        return end
    }

    // MARK: Items, fragments and delimiters (PS3.5 section 7.5)

    private mutating func delimiter(_ tag: Tag, length: UInt32) throws(DataSetError) -> Step {
        let start = position + 8
        switch (tag.element, containers.last?.kind) {
        case (0xE000, .sequence):
            let end: Int? = length == .max ? nil : try checkedEnd(start, Int(length), tag)
            containers.append(Container(kind: .item, end: end, isImplicit: isImplicit, isBigEndian: isBigEndian))
            position = start
            return .itemStart
        case (0xE000, .fragments):
            guard length != .max else { throw .unexpectedItem(tag, at: position) }
            position = start + Int(length)
            return .fragment(start..<position)
        case (0xE00D, .item) where containers.last?.end == nil,
            (0xE0DD, .sequence) where containers.last?.end == nil,
            (0xE0DD, .fragments):
            position = start
            return leave(containers.last!)
        case (0xE00D, _) where length == 0, (0xE0DD, _) where length == 0:
            // A delimiter nobody waits for says nothing; it is stored like all the rest.
            position = start
            return .element(
                ElementHeader(
                    tag: tag, vr: .un, offset: position - 8, valueOffset: position, length: 0, depth: sequenceDepth))
        default:
            throw .unexpectedItem(tag, at: position)
        }
    }

    private mutating func leave(_ container: Container) -> Step {
        containers.removeLast()
        isImplicit = container.isImplicit
        isBigEndian = container.isBigEndian
        switch container.kind {
        case .item: return .itemEnd
        case .fragments: return .encapsulatedEnd
        case .sequence:
            sequenceDepth -= 1
            return .sequenceEnd
        }
    }

    // MARK: Numbers

    private func readTag(_ head: UnsafeRawBufferPointer) -> Tag {
        isBigEndian
            ? Tag(group: head.bigEndian(at: 0), element: head.bigEndian(at: 2))
            : Tag(group: head.littleEndian(at: 0), element: head.littleEndian(at: 2))
    }

    private func number(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UInt32 {
        isBigEndian ? bytes.bigEndian(at: offset) : bytes.littleEndian(at: offset)
    }
}

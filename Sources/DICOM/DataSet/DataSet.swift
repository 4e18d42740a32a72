// SPDX-License-Identifier: Apache-2.0
import Platform

/// A small data set in memory: a query's identifier, a stored header. Values keep their bytes as they came.
package struct DataSet {
    package struct Element {
        package let tag: Tag
        package let vr: VR
        /// Empty for a sequence.
        package let value: [UInt8]
        /// nil: not a sequence.
        package let items: [DataSet]?
        /// Whether the value was left out because it is a large one (stored headers only).
        package let isOmitted: Bool

        package init(tag: Tag, vr: VR, value: [UInt8], items: [DataSet]? = nil, isOmitted: Bool = false) {
            self.tag = tag
            self.vr = vr
            self.value = value
            self.items = items
            self.isOmitted = isOmitted
        }
    }

    package var elements: [Element] = []
    package var isBigEndian = false

    package init() {}

    package subscript(tag: Tag) -> Element? { elements.first { $0.tag == tag } }

    /// Reads a whole data set that lies in memory.
    package init(_ bytes: UnsafeRawBufferPointer, transferSyntax: TransferSyntax) throws(DataSetError) {
        var builder = DataSetBuilder(transferSyntax: transferSyntax)
        let window = ByteWindow(bytes, isLast: true)
        while true {
            switch try builder.step(in: window) {
            // Behind encapsulated pixel data there may be more (PS3.3 section C.12.1.1.3), and errors.
            case .stepped, .omitted: continue
            case .needsMore: throw .endsEarly(at: bytes.count)
            case .ended:
                self = builder.finished()
                return
            }
        }
    }

    /// The character set that the data set declares, unless one is forced on it.
    package func characterSet(override: SpecificCharacterSet? = nil) -> SpecificCharacterSet {
        override ?? SpecificCharacterSet(definedTerms: self[.specificCharacterSet]?.plainValues ?? [])
    }
}

extension DataSet.Element {
    /// The values of an element to which no character set applies: UIDs, code strings, dates, numbers as text.
    package var plainValues: [String] {
        guard !value.isEmpty else { return [] }
        return value.split(separator: UInt8(ascii: "\\"), omittingEmptySubsequences: false).map { bytes in
            bytes.withUnsafeBytes { PlainText.trimmed($0) }
        }
    }

    /// The first of them; empty: there is none.
    package var plainValue: String { value.withUnsafeBytes { PlainText.first($0) } }
}

/// Builds a `DataSet` from a cursor's steps, without recursion.
package struct DataSetBuilder {
    package enum Progress: Equatable { case stepped, needsMore(position: Int), omitted(position: Int), ended }

    private var cursor: ElementCursor
    private var stack: [Level]
    /// A head whose value has not been seen yet.
    private var pending: ElementHeader?

    private struct Level {
        var header: ElementHeader?
        var items: [DataSet] = []
        var current = DataSet()
    }

    package init(transferSyntax: TransferSyntax, position: Int = 0) {
        cursor = ElementCursor(transferSyntax: transferSyntax, position: position)
        stack = [Level()]
        stack[0].current.isBigEndian = cursor.isBigEndian
    }

    package func finished() -> DataSet { stack[0].current }

    /// Takes one step. `omitted`: the value at that position is not in the window; go on with the window behind it, or
    /// say by `skipFragments` where encapsulated pixel data ends.
    package mutating func step(in window: ByteWindow) throws(DataSetError) -> Progress {
        switch try cursor.next(in: window) {
        case .element(let header): return append(header, window)
        case .sequence(let header): stack.append(Level(header: header))
        case .itemStart:
            stack[stack.count - 1].current = DataSet()
            stack[stack.count - 1].current.isBigEndian = cursor.isBigEndian
        case .itemEnd: stack[stack.count - 1].items.append(stack[stack.count - 1].current)
        case .sequenceEnd:
            let level = stack.removeLast()
            add(DataSet.Element(tag: level.header!.tag, vr: .sq, value: [], items: level.items))
        case .encapsulated(let header):
            add(DataSet.Element(tag: header.tag, vr: header.vr, value: [], isOmitted: true))
            return .omitted(position: header.valueOffset)
        case .fragment, .encapsulatedEnd: break
        case .needsMore: return .needsMore(position: cursor.position)
        case .end: return .ended
        }
        return .stepped
    }

    package mutating func skipFragments(to end: Int) { cursor.skipFragments(to: end) }

    private mutating func append(_ header: ElementHeader, _ window: ByteWindow) -> Progress {
        if let value = window.part(header.valueRange) {
            add(DataSet.Element(tag: header.tag, vr: header.vr, value: Array(value)))
            return .stepped
        }
        add(DataSet.Element(tag: header.tag, vr: header.vr, value: [], isOmitted: true))
        return .stepped
    }

    private mutating func add(_ element: DataSet.Element) { stack[stack.count - 1].current.elements.append(element) }
}

// SPDX-License-Identifier: Apache-2.0
import Platform

/// One pass over a data set while it arrives: where its large values and fragments are, and the few values that the
/// catalog wants. Memory does not grow with the object.
package struct DataSetScan {
    /// A value longer than this is a large one: left out of the header, found by its place.
    package static let largeValueBytes = 4096
    /// Of the values kept for the catalog: what is in the header, so that a rebuild, which reads no more than that, keeps
    /// the same. Offset tables may be longer.
    private static let keptValueMaximum = largeValueBytes
    private static let offsetTableMaximum = 8 << 20
    private static let fragmentMaximum = 1 << 19

    package private(set) var largeValues: [(tag: Tag, range: Range<Int>)] = []
    /// Wanted top-level values, as they stand; the first of duplicates.
    package private(set) var values: KeptValues
    /// Wanted values of each item of the wanted sequence.
    package private(set) var items: [[Tag: [UInt8]]] = []
    package private(set) var isComplete = false

    private var cursor: ElementCursor
    private let wantedSequence: Tag
    private let wantedInItems: Set<Tag>
    /// The top-level sequence that the cursor is in.
    private var topSequence: Tag?
    private var sequenceDepth = 0

    private var capture: Capture?
    private var fragmentStarts: [Int] = []
    private var fragmentCount = 0
    private var basicOffsetTable: [UInt8] = []
    private var extendedOffsetTable: [UInt8]?
    /// Where encapsulated pixel data's value begins, while its end is unknown.
    private var openPixelData: (tag: Tag, start: Int)?
    private var fragmentsEnd = 0

    /// A value that is being collected from the windows that pass.
    private struct Capture {
        enum Target { case value(place: Int), item(Tag), extendedOffsetTable, basicOffsetTable }
        let target: Target
        let range: Range<Int>
        var bytes: [UInt8] = []
    }

    package init(
        transferSyntax: TransferSyntax, position: Int, wanted: WantedTags, wantedSequence: Tag, wantedInItems: Set<Tag>
    ) {
        cursor = ElementCursor(transferSyntax: transferSyntax, position: position)
        values = KeptValues(wanted)
        self.wantedSequence = wantedSequence
        self.wantedInItems = wantedInItems
    }

    /// Bytes before this offset are not looked at again.
    package var position: Int { cursor.position }

    /// The large value that lies across `offset`, if one is still open there: fragments whose end nobody knows yet.
    package var openLargeValueStart: Int? { openPixelData?.start }

    /// Goes on as far as the window reaches. Windows follow each other without a gap.
    package mutating func consume(_ window: ByteWindow) throws(DataSetError) {
        fillCapture(from: window)
        while !isComplete {
            switch try cursor.next(in: window) {
            case .element(let header): take(header, window)
            case .sequence(let header):
                if sequenceDepth == 0 { topSequence = header.tag }
                sequenceDepth += 1
            case .sequenceEnd: sequenceDepth -= 1
            case .itemStart:
                if sequenceDepth == 1, topSequence == wantedSequence { items.append([:]) }
            case .itemEnd: break
            case .encapsulated(let header):
                openPixelData = (header.tag, header.valueOffset)
                fragmentStarts = []
                fragmentCount = 0
            case .fragment(let range): take(fragment: range, window)
            case .encapsulatedEnd: closePixelData()
            case .needsMore: return
            case .end: isComplete = true
            }
        }
    }

    /// Steps over fragments whose end is known from elsewhere.
    package mutating func skipFragments(to end: Int) {
        guard let open = openPixelData else { return }
        cursor.skipFragments(to: end)
        largeValues.append((open.tag, open.start..<end))
        openPixelData = nil
    }

    private mutating func take(_ header: ElementHeader, _ window: ByteWindow) {
        let range = header.valueRange
        if range.count > Self.largeValueBytes { largeValues.append((header.tag, range)) }
        if header.depth == 0 {
            if header.tag == .extendedOffsetTable {
                guard range.count <= Self.offsetTableMaximum, extendedOffsetTable == nil else { return }
                return begin(Capture(target: .extendedOffsetTable, range: range), window)
            }
            guard range.count <= Self.keptValueMaximum, let place = values.wanted.place(of: header.tag),
                !values.has(place: place)
            else { return }
            // Nearly all stand in one window, and go where they are kept without a detour.
            if let value = window.part(range) { return values.keep(value, place: place) }
            begin(Capture(target: .value(place: place), range: range), window)
        } else if header.depth == 1, topSequence == wantedSequence, wantedInItems.contains(header.tag),
            range.count <= Self.keptValueMaximum, !items.isEmpty
        {
            begin(Capture(target: .item(header.tag), range: range), window)
        }
    }

    private mutating func take(fragment range: Range<Int>, _ window: ByteWindow) {
        fragmentCount += 1
        fragmentsEnd = range.upperBound
        // The first item is the Basic Offset Table (PS3.5 section A.4).
        if fragmentCount == 1 {
            if range.count <= Self.offsetTableMaximum {
                begin(Capture(target: .basicOffsetTable, range: range), window)
            }
        } else if fragmentStarts.count < Self.fragmentMaximum {
            fragmentStarts.append(range.lowerBound - 8)
        }
    }

    private mutating func closePixelData() {
        guard let open = openPixelData else { return }
        largeValues.append((open.tag, open.start..<cursor.position))
        openPixelData = nil
    }

    // MARK: Collecting values

    private mutating func begin(_ capture: Capture, _ window: ByteWindow) {
        self.capture = capture
        fillCapture(from: window)
    }

    private mutating func fillCapture(from window: ByteWindow) {
        guard var capture else { return }
        let next = capture.range.lowerBound + capture.bytes.count
        let end = min(capture.range.upperBound, window.end)
        if let part = next < end ? window.part(next..<end) : nil { capture.bytes.append(contentsOf: part) }
        guard capture.bytes.count == capture.range.count else {
            self.capture = capture
            return
        }
        switch capture.target {
        case .value(let place): capture.bytes.withUnsafeBytes { values.keep($0, place: place) }
        case .item(let tag): items[items.count - 1][tag] = capture.bytes
        case .extendedOffsetTable: extendedOffsetTable = capture.bytes
        case .basicOffsetTable: basicOffsetTable = capture.bytes
        }
        self.capture = nil
    }

    // MARK: Frames

    /// The place of each frame of encapsulated pixel data, from its first fragment's item tag on; empty where the offset
    /// tables do not say and fragments do not match frames one to one (PS3.5 sections A.4 and 8.2).
    package func frames(numberOfFrames: Int) -> [Range<Int>] {
        let fragments = fragmentCount - 1
        guard fragments > 0, fragments == fragmentStarts.count, numberOfFrames > 0, let first = fragmentStarts.first
        else {
            return []
        }
        if numberOfFrames == 1 { return [first..<fragmentsEnd] }
        var starts = fragmentStarts
        if fragments != numberOfFrames {
            let table = Self.numbers(extendedOffsetTable ?? [], width: 8)
            let offsets = table.isEmpty ? Self.numbers(basicOffsetTable, width: 4) : table
            guard offsets.count == numberOfFrames, offsets.allSatisfy({ $0 <= fragmentsEnd - first }) else { return [] }
            starts = offsets.map { first + $0 }
            let known = Set(fragmentStarts)
            guard starts.allSatisfy(known.contains), zip(starts, starts.dropFirst()).allSatisfy({ $0 < $1 }) else {
                return []
            }
        }
        return starts.indices.map { starts[$0]..<($0 + 1 < starts.count ? starts[$0 + 1] : fragmentsEnd) }
    }

    private static func numbers(_ bytes: [UInt8], width: Int) -> [Int] {
        bytes.withUnsafeBytes { bytes in
            (0..<bytes.count / width).map { index in
                width == 4
                    ? Int(bytes.littleEndian(at: index * 4, as: UInt32.self))
                    : Int(clamping: bytes.littleEndian(at: index * 8, as: UInt64.self))
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
import BlobLog
import DICOM
import Platform

/// Follows a payload as it is received: hashes it, sums its chunks and finds its structure, in one pass over bytes that
/// are still warm in the cache.
struct PayloadAnalyzer {
    private static let inflatedHeaderMaximum = 1 << 20
    private static let inflatedMaximum = 4 << 30
    /// Inflated bytes for each received one beyond which it is a bomb; deflate itself ends at 1,032.
    private static let ratioMaximum = 1100

    private(set) var scan: DataSetScan
    private let hasher: BlobHasher
    private let summer = ChunkSummer()
    private let dataSetOffset: Int
    private let deflated: Deflated?
    private var hashedEnd: Int
    private var summedEnd = 0
    private var nextBoundary = 0
    private var boundaries: [Int] = []
    private var knownLargeValues = 0

    private final class Deflated {
        let inflater = Inflater(maximumBytes: inflatedMaximum)
        /// Inflated bytes that the scan has not passed yet, and where they begin.
        var window: [UInt8] = []
        var windowOffset = 0
        var header: [UInt8] = []
    }

    /// - Parameter dataSetOffset: length of preamble and meta group in front of the data set.
    init(transferSyntax: TransferSyntax, dataSetOffset: Int) {
        self.dataSetOffset = dataSetOffset
        hashedEnd = dataSetOffset
        deflated = transferSyntax.isDeflated ? Deflated() : nil
        hasher = BlobHasher(transferSyntaxUID: transferSyntax.uid)
        scan = DataSetScan(
            transferSyntax: transferSyntax, position: deflated == nil ? dataSetOffset : 0,
            wanted: CatalogMapping.wantedTags, wantedSequence: .requestAttributesSequence,
            wantedInItems: CatalogMapping.wantedRequestTags)
    }

    /// Bytes from here on must be in the next window too.
    var keepFrom: Int { min(hashedEnd, summedEnd) }

    /// Takes what is new in the window, whose offsets count from the payload's first byte.
    mutating func consume(_ window: ByteWindow) throws(DataSetError) {
        if window.end > hashedEnd, let new = window.part(hashedEnd..<window.end) {
            hasher.update(new)
            hashedEnd = window.end
            if let deflated { try inflate(new, deflated) }
        }
        if deflated == nil { try scan.consume(window) }
        sum(window)
    }

    /// After the last byte.
    mutating func finish(payloadLength: Int) throws(DataSetError) -> (BlobID, PayloadIndex) {
        if let deflated {
            guard deflated.inflater.isFinished else { throw .endsEarly(at: payloadLength) }
            try scanInflated(deflated, isLast: true)
        }
        guard scan.isComplete else { throw .endsEarly(at: payloadLength) }
        var index = PayloadIndex()
        if let deflated {
            index.inflatedHeader = deflated.header
            index.largeValues = [.init(tag: 0, range: UInt64(dataSetOffset)..<UInt64(payloadLength))]
        } else {
            index.largeValues = scan.largeValues.map {
                .init(tag: $0.tag.rawValue, range: UInt64($0.range.lowerBound)..<UInt64($0.range.upperBound))
            }
            index.frames = scan.frames(numberOfFrames: numberOfFrames).map {
                UInt64($0.lowerBound)..<UInt64($0.upperBound)
            }
        }
        summer.cut()
        index.checksums = summer.checksums
        return (hasher.finish(), index)
    }

    private var numberOfFrames: Int {
        guard let bytes = scan.values[.numberOfFrames] else { return 1 }
        let text = String(decoding: bytes, as: UTF8.self).filter { $0.isASCII && $0.isNumber }
        return max(1, Int(text) ?? 1)
    }

    // MARK: Chunks

    /// Sums what has been classified: all that the scan has passed, and what lies in a large value.
    private mutating func sum(_ window: ByteWindow) {
        collectBoundaries()
        let limit =
            deflated == nil && !isWithinLargeValue(window.end)
            ? min(window.end, max(scan.position, dataSetOffset)) : window.end
        while summedEnd < limit {
            while nextBoundary < boundaries.count, boundaries[nextBoundary] <= summedEnd { nextBoundary += 1 }
            let boundary = nextBoundary < boundaries.count ? boundaries[nextBoundary] : Int.max
            let end = min(limit, boundary)
            if let part = window.part(summedEnd..<end) { summer.add(part) }
            summedEnd = end
            if end == boundary { summer.cut() }
        }
    }

    private mutating func collectBoundaries() {
        if deflated != nil {
            if boundaries.isEmpty { boundaries = [dataSetOffset] }
            return
        }
        for value in scan.largeValues[knownLargeValues...] {
            if boundaries.last != value.range.lowerBound { boundaries.append(value.range.lowerBound) }
            boundaries.append(value.range.upperBound)
        }
        knownLargeValues = scan.largeValues.count
        if let start = scan.openLargeValueStart, boundaries.last ?? -1 < start { boundaries.append(start) }
    }

    private func isWithinLargeValue(_ offset: Int) -> Bool {
        scan.openLargeValueStart != nil || scan.position >= offset
    }

    // MARK: Deflated data sets

    private mutating func inflate(_ bytes: UnsafeRawBufferPointer, _ deflated: Deflated) throws(DataSetError) {
        let received = hashedEnd - dataSetOffset
        try deflated.inflater.inflate(bytes) { piece throws(DataSetError) in
            if deflated.header.count < Self.inflatedHeaderMaximum {
                deflated.header.append(contentsOf: piece.prefix(Self.inflatedHeaderMaximum - deflated.header.count))
            }
            deflated.window.append(contentsOf: piece)
            guard deflated.windowOffset + deflated.window.count <= max(1 << 20, received * Self.ratioMaximum) else {
                throw .inflatesTooMuch
            }
            try scanInflated(deflated, isLast: false)
        }
    }

    private mutating func scanInflated(_ deflated: Deflated, isLast: Bool) throws(DataSetError) {
        try deflated.window.withRawBytes { bytes throws(DataSetError) in
            try scan.consume(ByteWindow(bytes, offset: deflated.windowOffset, isLast: isLast))
        }
        let passed = min(max(scan.position - deflated.windowOffset, 0), deflated.window.count)
        deflated.window.removeFirst(passed)
        deflated.windowOffset += passed
    }
}

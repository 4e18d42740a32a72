// SPDX-License-Identifier: Apache-2.0
import BlobLog
import DICOM
import Platform

/// Follows a payload as it is received: hashes it, sums its chunks and finds its structure, in one pass over bytes that
/// are still warm in the cache.
struct PayloadAnalyzer {
    private(set) var scan: DataSetScan
    private let hasher: BlobHasher
    private let summer = ChunkSummer()
    private let dataSetOffset: Int
    /// For a Deflated data set, in whose bytes nothing else can be found.
    private let deflated: DeflatedScan?
    private var hashedEnd: Int
    private var summedEnd = 0
    private var nextBoundary = 0
    private var boundaries: [Int] = []
    private var knownLargeValues = 0

    /// - Parameter dataSetOffset: length of preamble and meta group in front of the data set.
    init(transferSyntax: TransferSyntax, dataSetOffset: Int, contentHash: ContentHash) {
        self.dataSetOffset = dataSetOffset
        hashedEnd = dataSetOffset
        deflated = transferSyntax.isDeflated ? DeflatedScan(transferSyntax) : nil
        hasher = BlobHasher(transferSyntaxUID: transferSyntax.uid, contentHash)
        scan = CatalogMapping.scan(transferSyntax, position: dataSetOffset)
    }

    /// Bytes from here on must be in the next window too.
    var keepFrom: Int { min(hashedEnd, summedEnd) }

    /// Takes what is new in the window, whose offsets count from the payload's first byte.
    mutating func consume(_ window: ByteWindow) throws(DataSetError) {
        if window.end > hashedEnd, let new = window.part(hashedEnd..<window.end) {
            hasher.update(new)
            hashedEnd = window.end
            try deflated?.take(new)
        }
        if deflated == nil { try scan.consume(window) }
        sum(window)
    }

    /// After the last byte.
    mutating func finish(payloadLength: Int) throws(DataSetError) -> (BlobID, PayloadIndex) {
        if let deflated { scan = try deflated.finish() }
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
}

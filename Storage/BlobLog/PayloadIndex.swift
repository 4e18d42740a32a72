// SPDX-License-Identifier: Apache-2.0
import CXXHash
import Platform

/// What stands where in a payload, and the checksums of its chunks (FORMAT.md, "Index").
package struct PayloadIndex: Equatable, Sendable {
    package struct LargeValue: Equatable, Sendable {
        package let tag: UInt32
        package let range: Range<UInt64>

        package init(tag: UInt32, range: Range<UInt64>) {
            self.tag = tag
            self.range = range
        }
    }

    package static let chunkBytes: UInt64 = 65_536

    package var largeValues: [LargeValue] = []
    package var frames: [Range<UInt64>] = []
    package var checksums: [UInt64] = []
    package var inflatedHeader: [UInt8] = []

    package init() {}

    package func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16 + largeValues.count * 24 + frames.count * 16 + checksums.count * 8)
        for count in [largeValues.count, frames.count, checksums.count, inflatedHeader.count] {
            bytes.appendLittleEndian(UInt32(count))
        }
        for value in largeValues {
            bytes.appendLittleEndian(UInt64(value.tag))
            bytes.appendLittleEndian(value.range.lowerBound)
            bytes.appendLittleEndian(UInt64(value.range.count))
        }
        for frame in frames {
            bytes.appendLittleEndian(frame.lowerBound)
            bytes.appendLittleEndian(UInt64(frame.count))
        }
        for checksum in checksums { bytes.appendLittleEndian(checksum) }
        bytes.append(contentsOf: inflatedHeader)
        return bytes
    }

    /// Reads an index whose bytes have already passed their checksum.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(LogError) {
        guard bytes.count >= 16 else { throw .damaged("index ends early") }
        let counts = (0..<4).map { Int(bytes.littleEndian(at: $0 * 4, as: UInt32.self)) }
        guard 16 + counts[0] * 24 + counts[1] * 16 + counts[2] * 8 + counts[3] == bytes.count else {
            throw .damaged("index has another length than it says")
        }
        var offset = 16
        func number() -> UInt64 {
            defer { offset += 8 }
            return bytes.littleEndian(at: offset)
        }
        func range() throws(LogError) -> Range<UInt64> {
            let start = number()
            let (end, overflow) = start.addingReportingOverflow(number())
            // No file has a place beyond (off_t).
            guard !overflow, end <= UInt64(Int64.max) else {
                throw .damaged("index holds a range beyond all numbers")
            }
            return start..<end
        }
        for _ in 0..<counts[0] {
            let tag = UInt32(truncatingIfNeeded: number())
            largeValues.append(LargeValue(tag: tag, range: try range()))
        }
        for _ in 0..<counts[1] { frames.append(try range()) }
        for _ in 0..<counts[2] { checksums.append(number()) }
        inflatedHeader = Array(bytes.part(offset..<bytes.count))
    }

    /// The pieces of the payload outside large values: its header.
    package func headerRanges(payloadLength: UInt64) -> [Range<UInt64>] {
        pieces(payloadLength: payloadLength).filter { !$0.isLarge }.map(\.range)
    }

    /// The chunks that together hold `range`: each with its place in `checksums`.
    package func chunks(covering range: Range<UInt64>, payloadLength: UInt64) -> [(index: Int, range: Range<UInt64>)] {
        var result: [(index: Int, range: Range<UInt64>)] = []
        var firstIndex = 0
        for piece in pieces(payloadLength: payloadLength) {
            let length = piece.range.upperBound - piece.range.lowerBound
            let count = Int((length + Self.chunkBytes - 1) / Self.chunkBytes)
            if piece.range.overlaps(range) {
                let from = max(piece.range.lowerBound, range.lowerBound) - piece.range.lowerBound
                let to = min(piece.range.upperBound, range.upperBound) - piece.range.lowerBound
                for chunk in Int(from / Self.chunkBytes)...Int((to - 1) / Self.chunkBytes) {
                    let start = piece.range.lowerBound + UInt64(chunk) * Self.chunkBytes
                    let end = min(start + Self.chunkBytes, piece.range.upperBound)
                    result.append((firstIndex + chunk, start..<end))
                }
            }
            firstIndex += count
        }
        return result
    }

    private func pieces(payloadLength: UInt64) -> [(range: Range<UInt64>, isLarge: Bool)] {
        var result: [(range: Range<UInt64>, isLarge: Bool)] = []
        var offset: UInt64 = 0
        for value in largeValues where value.range.lowerBound >= offset && value.range.upperBound <= payloadLength {
            if value.range.lowerBound > offset { result.append((offset..<value.range.lowerBound, false)) }
            if !value.range.isEmpty { result.append((value.range, true)) }
            offset = value.range.upperBound
        }
        if offset < payloadLength { result.append((offset..<payloadLength, false)) }
        return result
    }
}

/// XXH3-64, the checksum of everything that is read.
package enum Checksum {
    package static func compute(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        XXH3_64bits(bytes.baseAddress, bytes.count)
    }
    package static func compute(_ bytes: [UInt8]) -> UInt64 { XXH3_64bits(bytes, bytes.count) }
}

/// Sums the chunks of a payload as its bytes come; whoever knows where large values begin and end says so by `cut`.
package final class ChunkSummer {
    private let state = XXH3_createState()!
    private var filled: UInt64 = 0
    package private(set) var checksums: [UInt64] = []

    package init() { XXH3_64bits_reset(state) }

    deinit { XXH3_freeState(state) }

    package func add(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        while !rest.isEmpty {
            let part = rest.part(0..<min(rest.count, Int(PayloadIndex.chunkBytes - filled)))
            if filled == 0, part.count == Int(PayloadIndex.chunkBytes) {
                checksums.append(Checksum.compute(part))
            } else {
                XXH3_64bits_update(state, part.baseAddress, part.count)
                filled += UInt64(part.count)
                if filled == PayloadIndex.chunkBytes { cut() }
            }
            rest = rest.part(part.count..<rest.count)
        }
    }

    /// Ends the chunk in hand, if there is one.
    package func cut() {
        guard filled > 0 else { return }
        checksums.append(XXH3_64bits_digest(state))
        XXH3_64bits_reset(state)
        filled = 0
    }
}

// SPDX-License-Identifier: Apache-2.0
import Platform
import Seeded

/// Pixel data without end from a few megabytes: made once, read by all threads, never copied. Each instance begins at
/// another place, so that no two are the same.
struct PixelSource: Sendable {
    /// What a piece has at most.
    static let pieceMaximum = 1 << 20
    /// Bytes that an RLE packet of 128 literal bytes takes (PS3.5 section G.3.1).
    static let packetBytes = 129

    private let ring: [UInt8]
    private let period: Int
    private let step: Int

    /// - Parameter asPackets: as the packets of RLE Lossless instead of as pixels.
    init(seed: UInt64, asPackets: Bool) {
        step = asPackets ? Self.packetBytes : 2
        // The same bytes follow once more, as far as a piece may reach over the end.
        period = (1 << 15) * Self.packetBytes
        var random = SplitMix(seed: seed, [])
        let first = asPackets ? Self.packets(period, &random) : Self.pixels(period, &random)
        ring = first + first.prefix(Self.pieceMaximum)
    }

    /// Hands out `count` bytes of an instance's pixels from `position` on.
    func forEachPiece<Failure: Error>(
        _ count: Int, from position: Int, of instance: Int,
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        var position = position + instance * 127 * step
        var remaining = count
        while remaining > 0 {
            let size = min(remaining, Self.pieceMaximum)
            let start = position % period
            try ring.withRawBytes { bytes throws(Failure) in try body(bytes.part(start..<start + size)) }
            position += size
            remaining -= size
        }
    }

    /// Twelve-bit pixels: slow waves with noise in the low bits, about as compressible as an image.
    private static func pixels(_ count: Int, _ random: inout SplitMix) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for index in 0..<count / 2 {
            let wave = abs((index * 5 & 0xFFF) - 0x7FF) &+ (index >> 9 & 0x3FF)
            bytes.appendLittleEndian(UInt16(truncatingIfNeeded: wave + Int(random.next() >> 59)) & 0xFFF)
        }
        return bytes
    }

    private static func packets(_ count: Int, _ random: inout SplitMix) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            bytes.append(127)
            for _ in 0..<16 { bytes.appendLittleEndian(random.next()) }
        }
        return bytes
    }
}

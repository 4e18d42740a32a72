// SPDX-License-Identifier: Apache-2.0

/// Size and form of the pixel data of each instance.
struct ImageShape: Sendable {
    let rows: Int
    let columns: Int
    let frames: Int
    /// As RLE Lossless with an Extended Offset Table instead of native.
    let isEncapsulated: Bool

    /// Two bytes for each pixel.
    var nativeFrameBytes: Int { rows * columns * 2 }

    /// One of the two segments of an RLE frame: the high bytes or the low bytes, as literal packets.
    var segmentBytes: Int { rows * columns / 128 * PixelSource.packetBytes }

    /// A whole RLE frame with its header of 64 bytes.
    var encodedFrameBytes: Int { 64 + 2 * segmentBytes }

    /// Bytes of all pixel data, without the items around them.
    var pixelBytes: Int { frames * (isEncapsulated ? encodedFrameBytes : nativeFrameBytes) }

    /// Why no such instance can be written; nil if it can.
    var objection: String? {
        if isEncapsulated {
            // A packet has 128 bytes and must not reach over a row (PS3.5 section G.3.1); frames have even length.
            guard columns % 128 == 0, rows * columns % 256 == 0, rows * columns < 1 << 30 else {
                return "--encapsulated wants columns in multiples of 128 and an even number of rows"
            }
            return nil
        }
        return pixelBytes <= 0xFFFF_FFFE ? nil : "native pixel data is at most 4294967294 bytes; see --encapsulated"
    }
}

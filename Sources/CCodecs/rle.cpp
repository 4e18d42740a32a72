// SPDX-License-Identifier: Apache-2.0
// RLE (PS3.5 annex G). Not DCMTK's: that trusts the segment offsets, and what it reads beyond the frame would be shown.
#include "codecs.hpp"

namespace ccodecs {

namespace {

constexpr size_t headerSize = 64;

uint32_t littleEndian(const uint8_t *bytes) {
    return uint32_t(bytes[0]) | uint32_t(bytes[1]) << 8 | uint32_t(bytes[2]) << 16 | uint32_t(bytes[3]) << 24;
}

/// Unpacks one segment into every `stride`th byte (PS3.5 section G.3.2). What follows the last byte is padding.
void unpack(Bytes segment, uint8_t *to, size_t count, size_t stride) {
    const uint8_t *at = segment.data, *end = segment.data + segment.size;
    size_t written = 0;
    while (written < count) {
        if (at == end) malformed("An RLE segment ends too early.");
        uint8_t control = *at++;
        if (control == 128) continue;
        size_t run = control < 128 ? size_t(control) + 1 : 257 - size_t(control);
        if (size_t(end - at) < (control < 128 ? run : 1)) malformed("An RLE segment ends too early.");
        if (run > count - written) run = count - written;
        for (size_t index = 0; index < run; index++, written++) to[written * stride] = at[control < 128 ? index : 0];
        at += control < 128 ? size_t(control) + 1 : 1;
    }
}

/// Packs one row (PS3.5 section G.3.1): runs of two or more as such, except a run of two between literals.
void pack(const uint8_t *row, size_t count, Buffer &to) {
    size_t at = 0, literals = 0;
    auto flush = [&](size_t end) {
        while (literals > 0) {
            size_t part = literals < 128 ? literals : 128;
            to.push(static_cast<uint8_t>(part - 1));
            to.append(row + end - literals, part);
            literals -= part;
        }
    };
    while (at < count) {
        size_t run = 1;
        while (run < 128 && at + run < count && row[at + run] == row[at]) run++;
        if (run >= 3 || (run == 2 && literals == 0)) {
            flush(at);
            to.push(static_cast<uint8_t>(257 - run));
            to.push(row[at]);
        } else {
            literals += run;
        }
        at += run;
    }
    flush(count);
}

}  // namespace

// Segments come sample by sample, the most significant byte first (PS3.5 section G.2).

Buffer decodeRLE(Bytes stream, const ccodecs_image &in) {
    size_t width = in.bits_allocated / 8, segments = width * in.samples_per_pixel;
    if (stream.size < headerSize) malformed("The RLE header is cut off.");
    if (littleEndian(stream.data) != segments)
        malformed("The frame has " + std::to_string(littleEndian(stream.data)) + " RLE segments instead of " +
                  std::to_string(segments) + ".");
    if (segments > 15) unsupported("RLE has no room for more than 15 segments.");
    Buffer frame(decodedLength(in));
    for (size_t index = 0; index < segments; index++) {
        uint64_t begin = littleEndian(stream.data + 4 * (index + 1));
        uint64_t end = index + 1 < segments ? littleEndian(stream.data + 4 * (index + 2)) : stream.size;
        if (begin < headerSize || begin > end || end > stream.size) malformed("The RLE segment offsets are wrong.");
        size_t place = index / width * width + (width - 1 - index % width);
        unpack({stream.data + begin, size_t(end - begin)}, frame.data() + place, pixelCount(in), segments);
    }
    return frame;
}

Buffer encodeRLE(Bytes frame, const ccodecs_image &in) {
    size_t width = in.bits_allocated / 8, segments = width * in.samples_per_pixel;
    if (segments > 15) unsupported("RLE has no room for more than 15 segments.");
    Buffer result(headerSize);
    auto put = [&](size_t field, size_t value) {
        for (size_t byte = 0; byte < 4; byte++) result.data()[4 * field + byte] = uint8_t(value >> (8 * byte));
    };
    put(0, segments);
    Buffer row(in.columns);
    for (size_t index = 0; index < segments; index++) {
        put(index + 1, result.size());
        const uint8_t *from = frame.data + index / width * width + (width - 1 - index % width);
        for (size_t y = 0; y < in.rows; y++) {
            for (size_t x = 0; x < in.columns; x++, from += segments) row.data()[x] = *from;
            pack(row.data(), in.columns, result);
        }
        if (result.size() % 2 != 0) result.push(0);
    }
    if (result.size() > 0xFFFFFFFE) tooLarge("The RLE frame would be larger than 4 GiB.");
    return result;
}

}  // namespace ccodecs

// SPDX-License-Identifier: Apache-2.0
// Overlay planes (PS3.3 section C.9.2), drawn in white.
#include "render.hpp"

#include <dcmtk/dcmdata/dcelem.h>

#include <cmath>

namespace ccodecs {

namespace {

struct Plane {
    size_t rows, columns;
    long top, left;
};

void draw(Picture &picture, const Plane &plane, const uint8_t *bits, size_t firstBit) {
    for (size_t y = 0; y < plane.rows; y++) {
        for (size_t x = 0; x < plane.columns; x++) {
            size_t bit = firstBit + y * plane.columns + x;
            if ((bits[bit / 8] >> (bit % 8) & 1) == 0) continue;
            long atX = plane.left + long(x), atY = plane.top + long(y);
            if (atX < 0 || atY < 0 || atX >= long(picture.width) || atY >= long(picture.height)) continue;
            std::memset(picture.at(size_t(atX), size_t(atY)), 255, picture.samples);
        }
    }
}

/// Retired, but stored: the overlay is an unused bit of each pixel.
void drawEmbedded(Picture &picture, const ccodecs_image &image, const uint8_t *frame, unsigned bit) {
    if (bit >= image.bits_allocated || image.bits_allocated % 8 != 0 || image.samples_per_pixel != 1) return;
    if (bit <= image.high_bit && bit + image.bits_stored > image.high_bit) return;
    size_t cell = image.bits_allocated / 8, count = pixelCount(image);
    for (size_t index = 0; index < count; index++) {
        if ((frame[index * cell + bit / 8] >> (bit % 8) & 1) != 0)
            std::memset(picture.pixels.data() + index * picture.samples, 255, picture.samples);
    }
}

/// The overlay's bytes, whether they came as OB or OW.
const uint8_t *data(DcmItem &item, Uint16 group, size_t &length) {
    DcmElement *element = nullptr;
    Uint16 *words = nullptr;
    Uint8 *bytes = nullptr;
    if (item.findAndGetElement(DcmTagKey(group, 0x3000), element).bad()) return nullptr;
    length = element->getLength();
    if (element->getUint16Array(words).good() && words != nullptr) return reinterpret_cast<const uint8_t *>(words);
    return element->getUint8Array(bytes).good() ? bytes : nullptr;
}

}  // namespace

void drawOverlays(Picture &picture, const Header &header, const ccodecs_image &image, const uint8_t *frame) {
    DcmItem &item = header.root();
    for (Uint16 group = 0x6000; group <= 0x601E; group += 2) {
        Uint16 rows = 0, columns = 0, bit = 0;
        if (item.findAndGetUint16(DcmTagKey(group, 0x0010), rows).bad()) continue;
        if (item.findAndGetUint16(DcmTagKey(group, 0x0011), columns).bad()) continue;
        size_t length = 0;
        const uint8_t *bits = data(item, group, length);
        if (bits == nullptr) {
            item.findAndGetUint16(DcmTagKey(group, 0x0102), bit);
            if (bit > 0) drawEmbedded(picture, image, frame, bit);
            continue;
        }
        Sint16 top = 1, left = 1;
        item.findAndGetSint16(DcmTagKey(group, 0x0050), top, 0);
        item.findAndGetSint16(DcmTagKey(group, 0x0050), left, 1);
        // Number of Frames in Overlay, Image Frame Origin: which frames it belongs to.
        double frames = number(item, DcmTagKey(group, 0x0015), 1);
        bool isForAll = !item.tagExists(DcmTagKey(group, 0x0015));
        Uint16 origin = 1;
        item.findAndGetUint16(DcmTagKey(group, 0x0051), origin);
        int64_t index = isForAll ? 0 : int64_t(header.frame) - origin;
        if (index < 0 || double(index) >= frames) continue;
        uint64_t plane = uint64_t(rows) * columns, firstBit = plane * uint64_t(index);
        if ((firstBit + plane + 7) / 8 > length) continue;
        draw(picture, {rows, columns, top - 1L, left - 1L}, bits, firstBit);
    }
}

}  // namespace ccodecs

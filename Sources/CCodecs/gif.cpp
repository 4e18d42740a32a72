// SPDX-License-Identifier: Apache-2.0
// Animated GIF (GIF89a), each frame with its own colours.
#include "common.hpp"
#include "quantize.hpp"

#include <vector>

using namespace ccodecs;

struct ccodecs_gif {
    uint32_t width, height;
    Buffer bytes;
};

namespace {

void put16(Buffer &to, uint32_t value) {
    to.push(uint8_t(value));
    to.push(uint8_t(value >> 8));
}

/// Writes codes of changing width into sub-blocks of at most 255 bytes.
class CodeWriter {
public:
    explicit CodeWriter(Buffer &to) : to(to) {}

    void put(uint32_t code, unsigned width) {
        bits |= code << count;
        for (count += width; count >= 8; count -= 8, bits >>= 8) byte(uint8_t(bits));
    }
    void finish() {
        if (count > 0) byte(uint8_t(bits));
        flush();
        to.push(0);
    }

private:
    void byte(uint8_t value) {
        block[length++] = value;
        if (length == sizeof block) flush();
    }
    void flush() {
        if (length == 0) return;
        to.push(uint8_t(length));
        to.append(block, length);
        length = 0;
    }

    Buffer &to;
    uint32_t bits = 0;
    unsigned count = 0;
    uint8_t block[255];
    size_t length = 0;
};

/// LZW with codes of 9 to 12 bits over 8-bit symbols (GIF89a appendix F).
class Compressor {
public:
    explicit Compressor(Buffer &to) : writer(to), keys(slots), codes(slots) {}

    void compress(const std::vector<uint8_t> &symbols) {
        clear();
        uint32_t prefix = symbols[0];
        for (size_t index = 1; index < symbols.size(); index++) {
            // Zero marks a free slot; no key is zero.
            uint32_t key = (prefix << 8 | symbols[index]) + 1, slot = (key * 2654435761u) >> (32 - slotBits);
            while (keys[slot] != 0 && keys[slot] != key) slot = (slot + 1) % slots;
            if (keys[slot] == key) {
                prefix = codes[slot];
                continue;
            }
            writer.put(prefix, width);
            prefix = symbols[index];
            if (next == 4096) {
                clear();
                continue;
            }
            keys[slot] = key;
            codes[slot] = uint16_t(next);
            if (next++ == 1u << width) width++;
        }
        writer.put(prefix, width);
        // The decoder learns one more entry from that code, and may widen.
        if (next == 1u << width && width < 12) width++;
        writer.put(endCode, width);
        writer.finish();
    }

private:
    static constexpr uint32_t clearCode = 256, endCode = 257, slotBits = 14, slots = 1 << slotBits;

    void clear() {
        std::fill(keys.begin(), keys.end(), 0);
        writer.put(clearCode, width);
        next = endCode + 1;
        width = 9;
    }

    CodeWriter writer;
    std::vector<uint32_t> keys;
    std::vector<uint16_t> codes;
    uint32_t next = endCode + 1;
    unsigned width = 9;
};

void add(ccodecs_gif &gif, const uint8_t *pixels, uint32_t samples, uint32_t delay) {
    if (samples != 1 && samples != 3) malformed("A GIF is made of grey or RGB.");
    size_t count = size_t(gif.width) * gif.height;
    Indexed image = samples == 1 ? indexedGrey(pixels, count) : indexedColour(pixels, count);
    Buffer &to = gif.bytes;
    static const uint8_t control[] = {0x21, 0xF9, 4, 0x04};
    to.append(control, sizeof control);
    uint32_t hundredths = (delay + 5) / 10;
    put16(to, hundredths < 65535 ? hundredths : 65535);
    put16(to, 0);
    to.push(0x2C);
    put16(to, 0);
    put16(to, 0);
    put16(to, gif.width);
    put16(to, gif.height);
    to.push(0x87);
    to.append(image.palette, sizeof image.palette);
    to.push(8);
    Compressor(to).compress(image.symbols);
    if (to.size() > largestFrame) tooLarge("The animation is larger than 2 GiB.");
}

}  // namespace

ccodecs_gif *ccodecs_gif_begin(uint32_t width, uint32_t height, char *why, size_t whySize) {
    ccodecs_gif *result = nullptr;
    guarded(why, whySize, [&] {
        if (width == 0 || height == 0 || width > 65535 || height > 65535 || uint64_t(width) * height > 64 << 20)
            tooLarge("A GIF has at most 65535 rows and columns, here 64 million pixels.");
        auto gif = std::make_unique<ccodecs_gif>(ccodecs_gif{width, height, Buffer()});
        gif->bytes.append("GIF89a", 6);
        put16(gif->bytes, width);
        put16(gif->bytes, height);
        static const uint8_t rest[] = {0x70, 0, 0, 0x21, 0xFF, 11};
        gif->bytes.append(rest, sizeof rest);
        gif->bytes.append("NETSCAPE2.0\x03\x01\0\0\0", 16);
        result = gif.release();
    });
    return result;
}

ccodecs_status ccodecs_gif_add(
    ccodecs_gif *gif, const uint8_t *pixels, uint32_t samples, uint32_t delay, char *why, size_t whySize) {
    return guarded(why, whySize, [&] { add(*gif, pixels, samples, delay); });
}

ccodecs_status ccodecs_gif_finish(ccodecs_gif *gif, uint8_t **result, size_t *resultLength, char *why, size_t whySize) {
    std::unique_ptr<ccodecs_gif> owned(gif);
    *result = nullptr;
    *resultLength = 0;
    return guarded(why, whySize, [&] {
        gif->bytes.push(0x3B);
        gif->bytes.give(result, resultLength);
    });
}

void ccodecs_gif_abandon(ccodecs_gif *gif) { delete gif; }

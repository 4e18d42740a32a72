// SPDX-License-Identifier: Apache-2.0
#include "text.hpp"

#include <ft2build.h>
#include FT_FREETYPE_H

#include <algorithm>
#include <vector>

namespace ccodecs {

namespace {

constexpr const char *fontPath = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";
constexpr size_t linesMaximum = 16, charactersMaximum = 256;

FT_Library library = nullptr;
FT_Face face = nullptr;

std::vector<uint8_t> &fontBytes() {
    static std::vector<uint8_t> bytes;
    return bytes;
}

/// The next character; what is not UTF-8 becomes U+FFFD. `at` does not pass the NUL.
uint32_t nextCharacter(const char *&at) {
    uint8_t first = static_cast<uint8_t>(*at++);
    if (first < 0x80) return first;
    int more = first >= 0xF0 && first < 0xF8 ? 3 : first >= 0xE0 ? 2 : first >= 0xC2 ? 1 : 0;
    if (more == 0 || first >= 0xF8) return 0xFFFD;
    uint32_t character = first & (0x3F >> more);
    for (; more > 0; more--) {
        if ((static_cast<uint8_t>(*at) & 0xC0) != 0x80) return 0xFFFD;
        character = character << 6 | (static_cast<uint8_t>(*at++) & 0x3F);
    }
    return character;
}

/// How much of each pixel is covered by letters.
class Coverage {
public:
    Coverage(uint32_t width, uint32_t height) : width(width), height(height), cells(size_t(width) * height) {}

    void add(const FT_Bitmap &bitmap, long left, long top) {
        for (long y = 0; y < long(bitmap.rows); y++) {
            for (long x = 0; x < long(bitmap.width); x++) {
                if (left + x < 0 || top + y < 0 || left + x >= long(width) || top + y >= long(height)) continue;
                uint8_t &cell = cells[size_t(top + y) * width + size_t(left + x)];
                cell = std::max(cell, bitmap.buffer[y * bitmap.pitch + x]);
            }
        }
    }

    uint8_t at(long x, long y) const {
        return x < 0 || y < 0 || x >= long(width) || y >= long(height) ? 0 : cells[size_t(y) * width + size_t(x)];
    }

    const uint32_t width, height;

private:
    std::vector<uint8_t> cells;
};

void setLine(Coverage &coverage, const char *&at, long x, long baseline) {
    for (size_t count = 0; *at != 0 && *at != '\n'; count++) {
        uint32_t character = nextCharacter(at);
        if (count >= charactersMaximum || x >= long(coverage.width) || character < 0x20) continue;
        if (FT_Load_Char(face, character, FT_LOAD_RENDER) != 0) continue;
        const FT_GlyphSlot glyph = face->glyph;
        coverage.add(glyph->bitmap, x + glyph->bitmap_left, baseline - glyph->bitmap_top);
        x += glyph->advance.x >> 6;
    }
    if (*at == '\n') at++;
}

uint8_t mixed(uint8_t below, uint8_t colour, uint8_t share) {
    return static_cast<uint8_t>((below * (255 - share) + colour * share + 127) / 255);
}

/// Black around the letters first, so that they can be read on white too.
void paint(Picture &picture, const Coverage &coverage, long outline) {
    for (long y = 0; y < long(coverage.height); y++) {
        for (long x = 0; x < long(coverage.width); x++) {
            uint8_t shade = 0, letter = coverage.at(x, y);
            for (long dy = -outline; dy <= outline; dy++)
                for (long dx = -outline; dx <= outline; dx++) shade = std::max(shade, coverage.at(x + dx, y + dy));
            if (shade == 0) continue;
            uint8_t *pixel = picture.at(size_t(x), size_t(y));
            for (uint32_t sample = 0; sample < picture.samples; sample++)
                pixel[sample] = mixed(mixed(pixel[sample], 0, shade), 255, letter);
        }
    }
}

}  // namespace

void loadFont() {
    if (face != nullptr) return;
    FILE *file = std::fopen(fontPath, "rb");
    if (file == nullptr) return;
    uint8_t piece[65536];
    for (size_t count; (count = std::fread(piece, 1, sizeof piece, file)) > 0;)
        fontBytes().insert(fontBytes().end(), piece, piece + count);
    std::fclose(file);
    if (FT_Init_FreeType(&library) != 0) return;
    if (FT_New_Memory_Face(library, fontBytes().data(), FT_Long(fontBytes().size()), 0, &face) != 0) face = nullptr;
}

void drawText(Picture &picture, const char *text) {
    if (face == nullptr) unsupported("Annotations need the font DejaVu Sans (fonts-dejavu-core), which is not installed.");
    uint32_t size = std::clamp(std::min(picture.width, picture.height) / 32, 9u, 48u);
    if (FT_Set_Pixel_Sizes(face, 0, size) != 0) return;
    long outline = size >= 24 ? 2 : 1, step = long(size) + long(size) / 4, margin = long(size) / 2;
    size_t lines = std::min(size_t(std::count(text, text + std::strlen(text), '\n')) + 1, linesMaximum);
    long height = std::min(long(picture.height), margin + step * long(lines) + outline + step / 2);
    Coverage coverage(picture.width, static_cast<uint32_t>(height));
    for (size_t line = 0; line < lines && *text != 0; line++)
        setLine(coverage, text, margin, margin + long(size) + step * long(line));
    paint(picture, coverage, outline);
}

}  // namespace ccodecs

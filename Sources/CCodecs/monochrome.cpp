// SPDX-License-Identifier: Apache-2.0
// The grayscale pipeline (PS3.3 section C.7.6.3, C.11.1, C.11.2; PS3.4 annex N): stored value, Modality LUT, VOI LUT,
// 8-bit grey. Not DicomImage's, which knows neither LINEAR_EXACT nor functional groups, and is slower than one table.
#include "render.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ccodecs {

namespace {

/// Reads stored values out of their cells.
class Cells {
public:
    Cells(const ccodecs_image &image, const uint8_t *frame)
        : frame(frame), bytes(image.bits_allocated / 8), shift(image.high_bit + 1u - image.bits_stored),
          stored(image.bits_stored), isSigned(image.pixel_representation == 1) {}

    int64_t value(size_t index) const {
        uint32_t cell = 0;
        std::memcpy(&cell, frame + index * bytes, bytes);
        return meaning(cell);
    }
    int64_t meaning(uint32_t cell) const {
        cell >>= shift;
        if (stored < 32) cell &= (uint32_t(1) << stored) - 1;
        if (!isSigned) return cell;
        return stored == 32 ? int32_t(cell) : int64_t(int32_t(cell << (32 - stored)) >> (32 - stored));
    }
    int64_t lowest() const { return isSigned ? -(int64_t(1) << (stored - 1)) : 0; }
    int64_t highest() const { return (int64_t(1) << (isSigned ? stored - 1 : stored)) - 1; }

private:
    const uint8_t *frame;
    size_t bytes;
    unsigned shift, stored;
    bool isSigned;
};

struct Modality {
    std::optional<Table> table;
    double slope = 1, intercept = 0;

    double operator()(double stored) const { return table ? double((*table)(stored)) : stored * slope + intercept; }
};

/// PS3.3 section C.11.2.1.2 and C.11.2.1.3, to 0 ... 1.
double windowed(const Window &window, double value) {
    switch (window.function) {
    case CCODECS_SIGMOID: return 1 / (1 + std::exp(-4 * (value - window.center) / window.width));
    case CCODECS_LINEAR_EXACT: return (value - window.center) / window.width + 0.5;
    default: break;
    }
    double half = (window.width - 1) / 2, middle = window.center - 0.5;
    if (value <= middle - half) return 0;
    if (value > middle + half) return 1;
    return (value - middle) / (window.width - 1) + 0.5;
}

struct VOI {
    std::optional<Window> window;
    std::optional<Table> table;
    bool inverts = false;

    uint8_t operator()(double value) const {
        double shown = table ? (*table)(value) / double((1u << table->bits) - 1) : windowed(*window, value);
        shown = std::clamp(shown, 0.0, 1.0);
        return static_cast<uint8_t>((inverts ? 1 - shown : shown) * 255 + 0.5);
    }
};

Window spanning(double low, double high) {
    if (low > high) std::swap(low, high);
    if (low == high) return {CCODECS_LINEAR_EXACT, low + 0.5, 1};
    return {CCODECS_LINEAR_EXACT, (low + high) / 2, high - low};
}

/// Calls with each stored value of a frame of more than 8 bits, with up to 16 once with each that occurs.
template <typename Body>
void forEachValue(const ccodecs_image &image, const uint8_t *frame, const Cells &cells, Body body) {
    size_t count = pixelCount(image);
    if (image.bits_allocated > 16) {
        for (size_t index = 0; index < count; index++) body(cells.value(index));
        return;
    }
    std::vector<uint8_t> occurs(size_t(1) << 16);
    for (size_t index = 0; index < count; index++) {
        uint16_t cell;
        std::memcpy(&cell, frame + 2 * index, 2);
        occurs[cell] = 1;
    }
    for (size_t cell = 0; cell < occurs.size(); cell++)
        if (occurs[cell] != 0) body(cells.meaning(uint32_t(cell)));
}

/// Stored values in cells of up to 16 bits, numbered from the lowest one there can be.
template <typename Cell>
class Ranks {
public:
    Ranks(const ccodecs_image &image, const uint8_t *frame)
        : frame(frame), shift(image.high_bit + 1u - image.bits_stored), mask((1u << image.bits_stored) - 1),
          sign(image.pixel_representation == 1 ? 1u << (image.bits_stored - 1) : 0) {}

    Cell operator[](size_t index) const {
        Cell cell;
        std::memcpy(&cell, frame + sizeof cell * index, sizeof cell);
        return Cell((cell >> shift & mask) ^ sign);
    }
private:
    const uint8_t *frame;
    unsigned shift, mask, sign;
};

/// Of ranks; `least` is above `most` where there is none.
struct Extent {
    size_t least, most;
};

/// Of those that count. A loop that the compiler makes vectors of.
template <typename Cell, typename Counts>
Extent extent(const Ranks<Cell> &ranks, size_t count, Counts counts) {
    Cell least = std::numeric_limits<Cell>::max(), most = 0;
    for (size_t index = 0; index < count; index++) {
        Cell rank = ranks[index];
        bool isCounted = counts(rank);
        least = std::min(least, isCounted ? rank : std::numeric_limits<Cell>::max());
        most = std::max(most, isCounted ? rank : Cell(0));
    }
    return {least, most};
}

/// Of the stored values in cells of 16 bits, without those from `from` to `to`.
Extent extentWithout(const ccodecs_image &image, const uint8_t *frame, const Cells &cells, int64_t from, int64_t to) {
    Ranks<uint16_t> ranks(image, frame);
    size_t count = pixelCount(image);
    if (from > to) return extent(ranks, count, [](uint16_t) { return true; });
    uint16_t first = uint16_t(from - cells.lowest()), width = uint16_t(to - from);
    return extent(ranks, count, [=](uint16_t rank) { return uint16_t(rank - first) > width; });
}

/// From the darkest to the brightest pixel, without padding (PS3.3 section C.7.5.1.1.2).
Window automatic(
    const ccodecs_image &image, const uint8_t *frame, const Cells &cells, const Modality &modality,
    const Header &header) {
    // Up to 8 bits hold what is to be shown as it is: photographs, screens, masks.
    if (image.bits_stored <= 8) return spanning(modality(double(cells.lowest())), modality(double(cells.highest())));
    int64_t from = 1, to = 0;
    if (auto padding = header.padding(); padding && image.bits_allocated <= 16) {
        from = cells.meaning(padding->first);
        to = cells.meaning(padding->second);
        if (from > to) std::swap(from, to);
    }
    if (image.bits_allocated <= 16 && !modality.table) {
        Extent found = extentWithout(image, frame, cells, from, to);
        if (found.least > found.most) return spanning(0, 0);
        auto shown = [&](size_t rank) { return modality(double(cells.lowest() + int64_t(rank))); };
        return spanning(shown(found.least), shown(found.most));
    }
    // A table may go up and down.
    double least = std::numeric_limits<double>::infinity(), most = -least;
    forEachValue(image, frame, cells, [&](int64_t value) {
        if (value >= from && value <= to) return;
        double shown = modality(double(value));
        least = std::min(least, shown);
        most = std::max(most, shown);
    });
    return least > most ? spanning(0, 0) : spanning(least, most);
}

VOI choose(
    const ccodecs_image &image, const uint8_t *frame, const Cells &cells, const Modality &modality, const Header &header,
    const ccodecs_rendering &options) {
    VOI voi;
    if (options.has_window) {
        voi.window = Window{options.window_function, options.window_center, options.window_width};
    } else if (!(voi.window = header.window())) {
        bool isSigned = modality(double(cells.lowest())) < 0 || modality(double(cells.highest())) < 0;
        if (!(voi.table = header.voiTable(isSigned))) voi.window = automatic(image, frame, cells, modality, header);
    }
    voi.inverts = is(image, "MONOCHROME1");
    return voi;
}

/// A table, so that a pixel costs one load; only of the values between the least and the greatest one, for each costs two
/// divisions, and a CT slice has some thousand of the 65,536 there could be (0.3 ms of a picture's 2.2).
template <typename Cell>
void lookUp(
    const ccodecs_image &image, const uint8_t *frame, const Cells &cells, const Modality &modality, const VOI &voi,
    Picture &picture) {
    Ranks<Cell> ranks(image, frame);
    size_t count = pixelCount(image);
    Extent all = extent(ranks, count, [](Cell) { return true; });
    std::vector<uint8_t> shown(all.most + 1);
    for (size_t rank = all.least; rank <= all.most; rank++)
        shown[rank] = voi(modality(double(cells.lowest() + int64_t(rank))));
    const uint8_t *table = shown.data();
    uint8_t *to = picture.pixels.data();
    for (size_t index = 0; index < count; index++) to[index] = table[ranks[index]];
}

}  // namespace

Picture renderMonochrome(
    const ccodecs_image &image, const uint8_t *frame, const Header &header, const ccodecs_rendering &options,
    std::optional<Window> &used) {
    Cells cells(image, frame);
    Modality modality{
        header.modalityTable(image.pixel_representation == 1), header.rescaleSlope(), header.rescaleIntercept()};
    VOI voi = choose(image, frame, cells, modality, header, options);
    used = voi.window;
    Picture picture(image.columns, image.rows, 1);
    if (image.bits_allocated == 8) {
        lookUp<uint8_t>(image, frame, cells, modality, voi, picture);
    } else if (image.bits_allocated == 16) {
        lookUp<uint16_t>(image, frame, cells, modality, voi, picture);
    } else {
        size_t count = pixelCount(image);
        for (size_t index = 0; index < count; index++)
            picture.pixels.data()[index] = voi(modality(double(cells.value(index))));
    }
    return picture;
}

}  // namespace ccodecs

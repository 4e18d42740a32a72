// SPDX-License-Identifier: Apache-2.0
#include "quantize.hpp"

#include <algorithm>
#include <unordered_map>

namespace ccodecs {

namespace {

/// Colours are counted in cells of 6 bits a component.
constexpr unsigned cellBits = 6, cellShift = 8 - cellBits;
constexpr size_t cellCount = size_t(1) << (3 * cellBits);

struct Cell {
    uint32_t index;
    uint32_t count;
    uint64_t sums[3];

    unsigned component(unsigned which) const { return index >> (cellBits * (2 - which)) & ((1u << cellBits) - 1); }
};

uint32_t cellIndex(const uint8_t *pixel) {
    return uint32_t(pixel[0] >> cellShift) << (2 * cellBits) | uint32_t(pixel[1] >> cellShift) << cellBits |
           uint32_t(pixel[2] >> cellShift);
}

/// Cells from `begin` to `end` that share one entry of the palette.
struct Box {
    size_t begin, end;
    unsigned widest = 0, extent = 0;
    uint64_t count = 0;

    void measure(const std::vector<Cell> &cells) {
        extent = widest = 0;
        count = 0;
        for (size_t at = begin; at < end; at++) count += cells[at].count;
        for (unsigned which = 0; which < 3; which++) {
            unsigned low = 255, high = 0;
            for (size_t at = begin; at < end; at++) {
                low = std::min(low, cells[at].component(which));
                high = std::max(high, cells[at].component(which));
            }
            if (high - low > extent) {
                extent = high - low;
                widest = which;
            }
        }
    }
    /// Boxes with many pixels and a wide range are cut first.
    uint64_t weight() const { return count * extent; }
};

/// Splits where half of the pixels are on either side.
Box split(Box &box, std::vector<Cell> &cells) {
    unsigned which = box.widest;
    std::sort(cells.begin() + long(box.begin), cells.begin() + long(box.end), [which](const Cell &left, const Cell &right) {
        return left.component(which) < right.component(which);
    });
    uint64_t seen = 0;
    size_t cut = box.begin;
    while (cut + 1 < box.end && seen + cells[cut].count <= box.count / 2) seen += cells[cut++].count;
    cut = std::clamp(cut, box.begin + 1, box.end - 1);
    Box upper{cut, box.end};
    box.end = cut;
    box.measure(cells);
    upper.measure(cells);
    return upper;
}

std::vector<Cell> occupied(const uint8_t *pixels, size_t count) {
    std::vector<uint32_t> place(cellCount);
    std::vector<Cell> cells;
    for (size_t at = 0; at < count; at++, pixels += 3) {
        uint32_t index = cellIndex(pixels);
        if (place[index] == 0) {
            cells.push_back({index, 0, {}});
            place[index] = uint32_t(cells.size());
        }
        Cell &cell = cells[place[index] - 1];
        cell.count++;
        for (unsigned which = 0; which < 3; which++) cell.sums[which] += pixels[which];
    }
    return cells;
}

bool exact(const uint8_t *pixels, size_t count, Indexed &result) {
    std::unordered_map<uint32_t, uint8_t> known;
    uint32_t last = ~0u;
    uint8_t symbol = 0;
    result.symbols.resize(count);
    for (size_t at = 0; at < count; at++, pixels += 3) {
        uint32_t colour = uint32_t(pixels[0]) << 16 | uint32_t(pixels[1]) << 8 | pixels[2];
        if (colour != last) {
            auto found = known.find(colour);
            if (found == known.end()) {
                if (known.size() == 256) return false;
                std::copy(pixels, pixels + 3, result.palette + 3 * known.size());
                found = known.emplace(colour, uint8_t(known.size())).first;
            }
            last = colour;
            symbol = found->second;
        }
        result.symbols[at] = symbol;
    }
    return true;
}

}  // namespace

Indexed indexedGrey(const uint8_t *pixels, size_t count) {
    Indexed result;
    for (size_t level = 0; level < 256; level++) std::fill_n(result.palette + 3 * level, 3, uint8_t(level));
    result.symbols.assign(pixels, pixels + count);
    return result;
}

Indexed indexedColour(const uint8_t *pixels, size_t count) {
    Indexed result;
    if (exact(pixels, count, result)) return result;
    std::vector<Cell> cells = occupied(pixels, count);
    std::vector<Box> boxes{{0, cells.size()}};
    boxes[0].measure(cells);
    while (boxes.size() < 256) {
        auto heaviest = std::max_element(
            boxes.begin(), boxes.end(), [](const Box &left, const Box &right) { return left.weight() < right.weight(); });
        if (heaviest->weight() == 0) break;
        Box upper = split(*heaviest, cells);
        boxes.push_back(upper);
    }
    std::vector<uint8_t> symbolOf(cellCount);
    for (size_t symbol = 0; symbol < boxes.size(); symbol++) {
        uint64_t sums[3] = {};
        for (size_t at = boxes[symbol].begin; at < boxes[symbol].end; at++) {
            symbolOf[cells[at].index] = uint8_t(symbol);
            for (unsigned which = 0; which < 3; which++) sums[which] += cells[at].sums[which];
        }
        for (unsigned which = 0; which < 3; which++)
            result.palette[3 * symbol + which] = uint8_t(sums[which] / boxes[symbol].count);
    }
    for (size_t at = 0; at < count; at++) result.symbols[at] = symbolOf[cellIndex(pixels + 3 * at)];
    return result;
}

}  // namespace ccodecs

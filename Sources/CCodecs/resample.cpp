// SPDX-License-Identifier: Apache-2.0
#include "render.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace ccodecs {

namespace {

/// Which source pixels make one pixel of the result along an axis; weights sum to 65536.
struct Share {
    size_t first;
    std::vector<uint32_t> weights;
};

/// Makes the weights sum to 65536, the rounding going to the heaviest.
void normalize(const std::vector<double> &raw, Share &share) {
    double sum = 0;
    for (double weight : raw) sum += weight;
    uint32_t left = 65536;
    size_t heaviest = 0;
    for (size_t index = 0; index < raw.size(); index++) {
        uint32_t weight = std::min(left, uint32_t(raw[index] / sum * 65536));
        share.weights.push_back(weight);
        left -= weight;
        if (raw[index] > raw[heaviest]) heaviest = index;
    }
    share.weights[heaviest] += left;
}

Share shrinking(double from, double to, size_t limit) {
    size_t last = std::min(limit - 1, size_t(std::max(0.0, std::ceil(to) - 1)));
    size_t first = std::min(last, size_t(std::max(0.0, std::floor(from))));
    Share share{first, {}};
    std::vector<double> raw;
    for (size_t index = first; index <= last; index++)
        raw.push_back(std::max(1e-9, std::min(to, double(index) + 1) - std::max(from, double(index))));
    normalize(raw, share);
    return share;
}

Share growing(double middle, size_t lowest, size_t highest) {
    double at = std::clamp(middle - 0.5, double(lowest), double(highest));
    size_t first = size_t(at);
    double part = at - double(first);
    if (first >= highest || part < 1e-6) return {std::min(first, highest), {65536}};
    auto weight = uint32_t(part * 65536);
    return {first, {65536 - weight, weight}};
}

std::vector<Share> shares(double start, double extent, bool flips, uint32_t count, size_t limit) {
    std::vector<Share> result;
    double step = extent / count;
    auto lowest = size_t(start), highest = std::min(limit - 1, size_t(std::max(start, std::ceil(start + extent) - 1)));
    for (uint32_t index = 0; index < count; index++) {
        double from = start + step * (flips ? count - 1 - index : index);
        result.push_back(step > 1 ? shrinking(from, from + step, limit) : growing(from + step / 2, lowest, highest));
    }
    return result;
}

/// One source row at the width of the result, in 8.8 fixed point.
void squeeze(const uint8_t *row, uint32_t samples, const std::vector<Share> &shares, uint16_t *to) {
    for (const Share &share : shares) {
        for (uint32_t sample = 0; sample < samples; sample++) {
            const uint8_t *from = row + share.first * samples + sample;
            uint32_t sum = 128;
            for (uint32_t weight : share.weights) {
                sum += weight * *from;
                from += samples;
            }
            *to++ = uint16_t(sum >> 8);
        }
    }
}

}  // namespace

Picture resample(const Picture &source, const Region &region, uint32_t width, uint32_t height) {
    auto across = shares(region.x, region.width, region.flipsHorizontally, width, source.width);
    auto down = shares(region.y, region.height, region.flipsVertically, height, source.height);
    size_t line = size_t(width) * source.samples;
    size_t first = source.height, end = 0;
    for (const Share &share : down) {
        first = std::min(first, share.first);
        end = std::max(end, share.first + share.weights.size());
    }
    std::vector<uint16_t> squeezed((end - first) * line);
    for (size_t y = first; y < end; y++) squeeze(source.at(0, y), source.samples, across, &squeezed[(y - first) * line]);
    Picture result(width, height, source.samples);
    std::vector<uint32_t> sums(line);
    for (uint32_t y = 0; y < height; y++) {
        std::fill(sums.begin(), sums.end(), 1u << 23);
        const uint16_t *from = &squeezed[(down[y].first - first) * line];
        for (uint32_t weight : down[y].weights) {
            for (size_t x = 0; x < line; x++) sums[x] += from[x] * weight;
            from += line;
        }
        uint8_t *to = result.at(0, y);
        for (size_t x = 0; x < line; x++) to[x] = uint8_t(sums[x] >> 24);
    }
    return result;
}

}  // namespace ccodecs

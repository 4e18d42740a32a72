// SPDX-License-Identifier: Apache-2.0
// A picture as it is shown: 8-bit grey or RGB.
#pragma once

#include "common.hpp"

namespace ccodecs {

struct Picture {
    uint32_t width = 0;
    uint32_t height = 0;
    uint32_t samples = 1;
    Buffer pixels;

    Picture() = default;
    Picture(uint32_t width, uint32_t height, uint32_t samples)
        : width(width), height(height), samples(samples), pixels(size_t(width) * height * samples) {}

    uint8_t *at(size_t x, size_t y) { return pixels.data() + (y * width + x) * samples; }
    const uint8_t *at(size_t x, size_t y) const { return pixels.data() + (y * width + x) * samples; }
};

}  // namespace ccodecs

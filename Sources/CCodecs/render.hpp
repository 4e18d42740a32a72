// SPDX-License-Identifier: Apache-2.0
// The steps of ccodecs_render.
#pragma once

#include "header.hpp"
#include "picture.hpp"

namespace ccodecs {

Picture renderMonochrome(
    const ccodecs_image &image, const uint8_t *frame, const Header &header, const ccodecs_rendering &options,
    std::optional<Window> &used);
/// RGB, palettes and the YBR family.
Picture renderColour(const ccodecs_image &image, const uint8_t *frame, const Header &header);

void drawOverlays(Picture &picture, const Header &header, const ccodecs_image &image, const uint8_t *frame);

/// A rectangle of the source, inside it.
struct Region {
    double x, y, width, height;
    bool flipsHorizontally, flipsVertically;
};

/// The region in the given size: averaged where it shrinks, interpolated where it grows.
Picture resample(const Picture &source, const Region &region, uint32_t width, uint32_t height);

}  // namespace ccodecs

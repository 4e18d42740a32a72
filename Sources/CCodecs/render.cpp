// SPDX-License-Identifier: Apache-2.0
#include "codecs.hpp"
#include "render.hpp"
#include "text.hpp"

#include <algorithm>
#include <cmath>

using namespace ccodecs;

namespace {

constexpr double largestSide = 32768, largestPicture = 64 << 20;

/// Bits of a bitmap as bytes; the first pixel is the lowest bit (PS3.5 section 8.1.1).
Buffer unpacked(const uint8_t *frame, ccodecs_image &image) {
    size_t count = pixelCount(image);
    Buffer cells(count);
    for (size_t index = 0; index < count; index++) cells.data()[index] = frame[index / 8] >> (index % 8) & 1;
    image.bits_allocated = 8;
    image.bits_stored = 1;
    image.high_bit = 0;
    return cells;
}

void check(const ccodecs_image &image, size_t length) {
    bool isBitmap = image.bits_allocated == 1 && image.samples_per_pixel == 1;
    if (isBitmap && (image.rows == 0 || image.columns == 0)) malformed("Rows or Columns is missing or 0.");
    if (!isBitmap) checkImage(image);
    if (length < frameLength(image)) malformed("The frame is shorter than its attributes say.");
}

void check(const ccodecs_rendering &options) {
    if (options.quality > 100) malformed("The quality is not between 1 and 100.");
    if (options.has_window) {
        bool isLinear = options.window_function == CCODECS_LINEAR;
        if (!std::isfinite(options.window_center) || !std::isfinite(options.window_width) ||
            !(isLinear ? options.window_width >= 1 : options.window_width > 0))
            malformed("The window's width must be at least 1 for LINEAR, and above 0 otherwise.");
    }
    for (double value : {options.region_x, options.region_y, options.region_width, options.region_height})
        if (!std::isfinite(value)) malformed("The region is not a number.");
}

/// The part of the source that is asked for and there (PS3.18 section 8.3.5.1.3).
Region sourceRegion(const Picture &picture, const ccodecs_rendering &options) {
    Region region{
        options.region_x, options.region_y, std::fabs(options.region_width), std::fabs(options.region_height),
        options.region_width < 0, options.region_height < 0};
    if (region.width == 0) region.width = picture.width - region.x;
    if (region.height == 0) region.height = picture.height - region.y;
    double right = std::min(region.x + region.width, double(picture.width));
    double bottom = std::min(region.y + region.height, double(picture.height));
    region.x = std::max(region.x, 0.0);
    region.y = std::max(region.y, 0.0);
    region.width = right - region.x;
    region.height = bottom - region.y;
    if (!(region.width > 0 && region.height > 0)) malformed("The region lies outside the image.");
    return region;
}

struct Size {
    uint32_t width, height;
};

/// As large as fits into the viewport; without one no pixel of the source is lost.
Size targetSize(const Region &region, double aspect, const ccodecs_rendering &options) {
    double width = region.width, height = region.height * aspect;
    if (aspect < 1) {
        width = region.width / aspect;
        height = region.height;
    }
    double scale = 1, across = options.viewport_width / width, down = options.viewport_height / height;
    if (across > 0 && down > 0) scale = std::min(across, down);
    else if (across > 0 || down > 0) scale = std::max(across, down);
    width = std::max(1.0, std::round(width * scale));
    height = std::max(1.0, std::round(height * scale));
    if (width > largestSide || height > largestSide || width * height > largestPicture)
        tooLarge("The rendered image would have more than 64 million pixels.");
    return {uint32_t(width), uint32_t(height)};
}

Picture fitted(Picture picture, double aspect, const ccodecs_rendering &options) {
    Region region = sourceRegion(picture, options);
    Size size = targetSize(region, aspect, options);
    bool isWhole = region.width == picture.width && region.height == picture.height;
    if (isWhole && !region.flipsHorizontally && !region.flipsVertically && size.width == picture.width &&
        size.height == picture.height)
        return picture;
    return resample(picture, region, size.width, size.height);
}

Buffer written(Picture picture, const ccodecs_rendering &options) {
    uint32_t quality = options.quality == 0 ? 90 : options.quality;
    switch (options.format) {
    case CCODECS_JPEG: return writeJPEG(picture.pixels.data(), picture.width, picture.height, picture.samples, quality);
    case CCODECS_PNG: return writePNG(picture.pixels.data(), picture.width, picture.height, picture.samples);
    case CCODECS_RAW: return std::move(picture.pixels);
    }
    unsupported("The format is unknown.");
}

void render(
    Header header, ccodecs_image image, const uint8_t *frame, const ccodecs_rendering &options, ccodecs_rendered &result) {
    Buffer cells;
    if (image.bits_allocated == 1) {
        cells = unpacked(frame, image);
        frame = cells.data();
    }
    std::optional<Window> window;
    bool isGrey = is(image, "MONOCHROME1") || is(image, "MONOCHROME2");
    if (isGrey && image.samples_per_pixel != 1) malformed("A monochrome image has one sample per pixel.");
    Picture picture = isGrey ? renderMonochrome(image, frame, header, options, window) : renderColour(image, frame, header);
    if (options.show_overlays) drawOverlays(picture, header, image, frame);
    picture = fitted(std::move(picture), header.pixelAspect(), options);
    if (options.annotation != nullptr && *options.annotation != 0) drawText(picture, options.annotation);
    result.width = picture.width;
    result.height = picture.height;
    result.samples = picture.samples;
    if (window) {
        result.has_window = 1;
        result.window_function = window->function;
        result.window_center = window->center;
        result.window_width = window->width;
    }
    written(std::move(picture), options).give(&result.bytes, &result.length);
}

}  // namespace

ccodecs_status ccodecs_render(
    const uint8_t *header, size_t headerLength, const ccodecs_image *image, const uint8_t *frame, size_t length,
    const ccodecs_rendering *options, ccodecs_rendered *result, char *why, size_t whySize) {
    std::memset(result, 0, sizeof *result);
    return guarded(why, whySize, [&] {
        ccodecs_image shown = *image;
        shown.photometric[sizeof shown.photometric - 1] = 0;
        check(shown, length);
        check(*options);
        render(Header(header, headerLength, options->frame), shown, frame, *options, *result);
    });
}

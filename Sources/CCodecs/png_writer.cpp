// SPDX-License-Identifier: Apache-2.0
#include "codecs.hpp"

#include <csetjmp>
#include <png.h>
#include <zlib.h>

namespace ccodecs {

namespace {

struct Sink {
    Buffer bytes;
    bool full = false;
};

// libpng is C: nothing may be thrown through it.
void put(png_structp png, png_bytep bytes, size_t count) {
    auto *sink = static_cast<Sink *>(png_get_io_ptr(png));
    try {
        sink->bytes.append(bytes, count);
    } catch (...) {
        sink->full = true;
    }
    if (sink->full) png_error(png, "out of memory");
}

void flush(png_structp) {}
void leave(png_structp png, png_const_charp) { png_longjmp(png, 1); }
void ignore(png_structp, png_const_charp) {}

bool write(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t samples, Sink &sink) {
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, leave, ignore);
    png_infop info = png != nullptr ? png_create_info_struct(png) : nullptr;
    if (info == nullptr) {
        png_destroy_write_struct(&png, nullptr);
        return false;
    }
    if (setjmp(png_jmpbuf(png)) != 0) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_set_write_fn(png, &sink, put, flush);
    png_set_IHDR(
        png, info, width, height, 8, samples == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
        PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    // The picture is seen once: fast beats small.
    png_set_compression_level(png, 1);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_SUB);
    png_write_info(png, info);
    for (uint32_t y = 0; y < height; y++) png_write_row(png, pixels + size_t(y) * width * samples);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return true;
}

}  // namespace

Buffer writePNG(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t samples) {
    Sink sink;
    if (!write(pixels, width, height, samples, sink)) {
        if (sink.full) throw std::bad_alloc();
        throw Failure{CCODECS_FAILED, "The PNG cannot be written."};
    }
    return std::move(sink.bytes);
}

}  // namespace ccodecs

// SPDX-License-Identifier: Apache-2.0
// From a decoder's integers to native samples.
#pragma once

#include "common.hpp"

namespace ccodecs {

/// What a code stream says of one of its components.
struct ComponentRange {
    unsigned precision;
    bool isSigned;
};

inline int32_t signExtended(uint32_t value, unsigned bits) {
    unsigned shift = 32 - bits;
    return static_cast<int32_t>(value << shift) >> shift;
}

/// Writers disagree whether signed values are coded as such. The data set decides what they mean; the code stream's
/// precision tells where the sign is.
class SampleWriter {
public:
    SampleWriter(const ccodecs_image &image, ComponentRange range)
        : precision(range.precision),
          extends(image.pixel_representation == 1 && !range.isSigned && range.precision <= image.bits_stored &&
                  range.precision < image.bits_allocated),
          masks(image.pixel_representation == 0 && range.isSigned && range.precision < 32),
          low(range.isSigned ? -(int64_t(1) << (range.precision - 1)) : 0),
          high((int64_t(1) << (range.isSigned ? range.precision - 1 : range.precision)) - 1),
          stride(image.samples_per_pixel), bytes(image.bits_allocated / 8) {}

    /// Writes `count` samples of component `component`, beginning with pixel `first`.
    void write(const int32_t *values, size_t count, size_t component, size_t first, uint8_t *frame) const {
        size_t at = first * stride + component;
        if (bytes == 1) writeAs<uint8_t>(values, count, frame, at);
        else if (bytes == 2) writeAs<uint16_t>(values, count, frame, at);
        else writeAs<uint32_t>(values, count, frame, at);
    }

private:
    template <typename Sample>
    void writeAs(const int32_t *values, size_t count, uint8_t *frame, size_t at) const {
        Sample *samples = reinterpret_cast<Sample *>(frame) + at;
        for (size_t index = 0; index < count; index++) {
            int64_t value = values[index];
            value = value < low ? low : value > high ? high : value;
            uint32_t bits = static_cast<uint32_t>(value);
            if (extends) bits = static_cast<uint32_t>(signExtended(bits, precision));
            else if (masks) bits &= (uint32_t(1) << precision) - 1;
            samples[index * stride] = static_cast<Sample>(bits);
        }
    }

    unsigned precision;
    bool extends, masks;
    int64_t low, high;
    size_t stride, bytes;
};

}  // namespace ccodecs

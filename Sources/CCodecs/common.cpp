// SPDX-License-Identifier: Apache-2.0
#include "common.hpp"

namespace ccodecs {

std::string size(uint64_t rows, uint64_t columns) {
    return std::to_string(rows) + " rows and " + std::to_string(columns) + " columns";
}

void checkImage(const ccodecs_image &image) {
    if (image.rows == 0 || image.columns == 0) malformed("Rows or Columns is missing or 0.");
    if (image.samples_per_pixel < 1 || image.samples_per_pixel > 4)
        unsupported(std::to_string(image.samples_per_pixel) + " samples per pixel are not supported.");
    if (image.bits_allocated != 8 && image.bits_allocated != 16 && image.bits_allocated != 32)
        unsupported(std::to_string(image.bits_allocated) + " bits allocated are not supported.");
    if (image.bits_stored < 1 || image.bits_stored > image.bits_allocated || image.high_bit >= image.bits_allocated ||
        image.high_bit + 1 < image.bits_stored)
        malformed("Bits Allocated, Bits Stored and High Bit contradict each other.");
    if (sampleCount(image) * (image.bits_allocated / 8) > largestFrame)
        tooLarge("A frame of " + size(image.rows, image.columns) + " is larger than 2 GiB.");
}

void checkDimensions(const ccodecs_image &image, uint64_t rows, uint64_t columns, uint64_t components) {
    if (rows != image.rows || columns != image.columns)
        malformed("The bit stream has " + size(rows, columns) + ", the data set says " +
                  size(image.rows, image.columns) + ".");
    if (components != image.samples_per_pixel)
        malformed("The bit stream has " + std::to_string(components) + " components, the data set says " +
                  std::to_string(image.samples_per_pixel) + " samples per pixel.");
}

}  // namespace ccodecs

void ccodecs_free(void *memory) { std::free(memory); }

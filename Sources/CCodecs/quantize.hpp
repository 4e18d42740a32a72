// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ccodecs {

/// A picture with at most 256 colours.
struct Indexed {
    uint8_t palette[768] = {};
    std::vector<uint8_t> symbols;
};

Indexed indexedGrey(const uint8_t *pixels, size_t count);
/// Exact with up to 256 colours, else by median cut.
Indexed indexedColour(const uint8_t *pixels, size_t count);

}  // namespace ccodecs

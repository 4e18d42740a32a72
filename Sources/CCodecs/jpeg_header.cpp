// SPDX-License-Identifier: Apache-2.0
#include "codecs.hpp"

namespace ccodecs {

/// Walks the marker segments up to the frame header (ISO 10918-1 annex B; FFF7 is JPEG-LS's).
JPEGHeader readJPEGHeader(Bytes stream) {
    const uint8_t *at = stream.data, *end = stream.data + stream.size;
    if (stream.size < 4 || at[0] != 0xFF || at[1] != 0xD8) malformed("The bit stream does not begin like a JPEG.");
    at += 2;
    while (end - at >= 4) {
        if (*at != 0xFF) malformed("The JPEG's marker segments are damaged.");
        if (at[1] == 0xFF) {  // fill byte
            at++;
            continue;
        }
        uint8_t marker = at[1];
        size_t length = size_t(at[2]) << 8 | at[3];
        if (marker == 0xDA || length < 2 || size_t(end - at) < length + 2) break;
        bool tables = marker == 0xC4 || marker == 0xC8 || marker == 0xCC;
        if (((marker & 0xF0) == 0xC0 && !tables) || marker == 0xF7) {
            if (length < 8) break;
            return {marker, at[4], unsigned(at[5]) << 8 | at[6], unsigned(at[7]) << 8 | at[8], at[9]};
        }
        at += length + 2;
    }
    malformed("The JPEG has no frame header.");
}

}  // namespace ccodecs

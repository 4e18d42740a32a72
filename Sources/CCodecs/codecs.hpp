// SPDX-License-Identifier: Apache-2.0
// The codecs behind ccodecs_decode_frame and ccodecs_encode_frame. All decode to colour by pixel.
#pragma once

#include "common.hpp"

namespace ccodecs {

struct Bytes {
    const uint8_t *data;
    size_t size;
};

// Decoders: `out` comes as the data set's image with Planar Configuration 0; they change what they changed.
Buffer decodeLossyJPEG(Bytes stream, const ccodecs_image &in, ccodecs_image &out);
/// JPEG beyond 8 bits, lossless JPEG, and JPEG-LS.
Buffer decodeDCMTK(const char *transferSyntax, Bytes stream, const ccodecs_image &in, ccodecs_image &out);
Buffer decodeRLE(Bytes stream, const ccodecs_image &in);
/// High-throughput JPEG 2000 too.
Buffer decodeJPEG2000(Bytes stream, const ccodecs_image &in, ccodecs_image &out);

// Encoders: `in` is colour by pixel without shared chroma; `out` comes as a copy of it.
Buffer encodeJPEG(Bytes frame, const ccodecs_image &in, uint32_t quality, ccodecs_image &out);
Buffer encodeJPEGLS(Bytes frame, const ccodecs_image &in);
Buffer encodeRLE(Bytes frame, const ccodecs_image &in);
Buffer encodeJPEG2000(Bytes frame, const ccodecs_image &in, ccodecs_image &out);

/// What the frame header of a JPEG or JPEG-LS stream says.
struct JPEGHeader {
    uint8_t marker;
    unsigned precision, rows, columns, components;
    bool isLossless() const { return marker == 0xC3; }
    bool isDCT() const { return marker <= 0xC2; }
};
JPEGHeader readJPEGHeader(Bytes stream);

/// JPEG of 8-bit grey (1 sample) or RGB (3), as YCbCr with chroma halved horizontally.
Buffer writeJPEG(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t samples, uint32_t quality);
/// The same of samples that are YCbCr already.
Buffer writeYCbCr(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t quality);
Buffer writePNG(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t samples);

}  // namespace ccodecs

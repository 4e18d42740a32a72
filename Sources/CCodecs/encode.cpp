// SPDX-License-Identifier: Apache-2.0
#include "codecs.hpp"

using namespace ccodecs;

namespace {

/// Spreads the shared chroma of YBR_FULL_422 (PS3.3 section C.7.6.3.1.2), which no codec here takes.
Buffer spread(Bytes frame, ccodecs_image &image) {
    if (image.bits_allocated != 8 || image.samples_per_pixel != 3 || image.columns % 2 != 0)
        unsupported("YBR_FULL_422 is supported for 8 bits and an even number of columns.");
    setPhotometric(image, "YBR_FULL");
    Buffer result(sampleCount(image));
    uint8_t *to = result.data();
    for (size_t at = 0; at + 4 <= frame.size; at += 4) {
        for (size_t pixel = 0; pixel < 2; pixel++) {
            *to++ = frame.data[at + pixel];
            *to++ = frame.data[at + 2];
            *to++ = frame.data[at + 3];
        }
    }
    return result;
}

Buffer interleaved(Bytes frame, ccodecs_image &image) {
    size_t cell = image.bits_allocated / 8, pixels = pixelCount(image), samples = image.samples_per_pixel;
    Buffer result(frame.size);
    uint8_t *to = result.data();
    for (size_t pixel = 0; pixel < pixels; pixel++) {
        for (size_t sample = 0; sample < samples; sample++, to += cell)
            std::memcpy(to, frame.data + (sample * pixels + pixel) * cell, cell);
    }
    image.planar_configuration = 0;
    return result;
}

Buffer encode(const std::string &syntax, Bytes frame, const ccodecs_image &in, uint32_t quality, ccodecs_image &out) {
    if (syntax == "1.2.840.10008.1.2.5") return encodeRLE(frame, in);
    if (syntax == "1.2.840.10008.1.2.4.80") return encodeJPEGLS(frame, in);
    if (syntax == "1.2.840.10008.1.2.4.90") return encodeJPEG2000(frame, in, out);
    if (syntax == "1.2.840.10008.1.2.4.50") return encodeJPEG(frame, in, quality, out);
    unsupported("Frames cannot be encoded in transfer syntax " + syntax + ".");
}

}  // namespace

namespace ccodecs {

/// JPEG baseline (PS3.5 section 8.2.1): 8 bits unsigned, colour with the chroma halved horizontally.
Buffer encodeJPEG(Bytes frame, const ccodecs_image &in, uint32_t quality, ccodecs_image &out) {
    if (quality < 1 || quality > 100) malformed("The JPEG quality is not between 1 and 100.");
    if (in.bits_stored > 8 || in.bits_allocated > 16)
        unsupported("JPEG baseline holds 8 bits; the image has " + std::to_string(in.bits_stored) + ".");
    if (in.pixel_representation != 0) unsupported("JPEG baseline has no signed values.");
    bool isGrey = is(in, "MONOCHROME1") || is(in, "MONOCHROME2"), isRGB = is(in, "RGB");
    if (in.samples_per_pixel != (isGrey ? 1 : 3) || (!isGrey && !isRGB && !is(in, "YBR_FULL")))
        unsupported(std::string("A lossy JPEG of ") + in.photometric + " makes no sense.");
    Buffer narrow;
    if (in.bits_allocated == 16) {
        narrow = Buffer(sampleCount(in));
        for (size_t index = 0; index < narrow.size(); index++) narrow.data()[index] = frame.data[2 * index];
    }
    const uint8_t *pixels = in.bits_allocated == 16 ? narrow.data() : frame.data;
    out.bits_allocated = 8;
    if (!isGrey) setPhotometric(out, "YBR_FULL_422");
    if (isGrey) return writeJPEG(pixels, in.columns, in.rows, 1, quality);
    return isRGB ? writeJPEG(pixels, in.columns, in.rows, 3, quality) : writeYCbCr(pixels, in.columns, in.rows, quality);
}

}  // namespace ccodecs

ccodecs_status ccodecs_encode_frame(
    const char *transferSyntax, const ccodecs_image *in, const uint8_t *bytes, size_t length, uint32_t quality,
    ccodecs_image *out, uint8_t **result, size_t *resultLength, char *why, size_t whySize) {
    *result = nullptr;
    *resultLength = 0;
    return guarded(why, whySize, [&] {
        ccodecs_image image = *in;
        image.photometric[sizeof image.photometric - 1] = 0;
        checkImage(image);
        Bytes frame{bytes, frameLength(image)};
        if (length < frame.size) malformed("The frame is shorter than its attributes say.");
        Buffer changed;
        if (is(image, "YBR_FULL_422")) changed = spread(frame, image);
        else if (image.samples_per_pixel > 1 && image.planar_configuration == 1) changed = interleaved(frame, image);
        if (changed.size() > 0) frame = {changed.data(), changed.size()};
        image.planar_configuration = 0;
        ccodecs_image encoded = image;
        Buffer stream = encode(transferSyntax, frame, image, quality, encoded);
        if (stream.size() % 2 != 0) stream.push(0);
        *out = encoded;
        stream.give(result, resultLength);
    });
}

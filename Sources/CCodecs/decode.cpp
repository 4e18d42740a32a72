// SPDX-License-Identifier: Apache-2.0
#include "codecs.hpp"

using namespace ccodecs;

namespace {

/// The transfer syntaxes by what comes after 1.2.840.10008.1.2.
enum class Codec { none, dctJPEG, losslessJPEG, jpegLS, jpeg2000, rle };

Codec codec(const char *transferSyntax) {
    constexpr const char *root = "1.2.840.10008.1.2.";
    if (std::strncmp(transferSyntax, root, std::strlen(root)) != 0) return Codec::none;
    std::string rest = transferSyntax + std::strlen(root);
    if (rest == "5") return Codec::rle;
    if (rest == "4.50" || rest == "4.51") return Codec::dctJPEG;
    if (rest == "4.57" || rest == "4.70") return Codec::losslessJPEG;
    if (rest == "4.80" || rest == "4.81") return Codec::jpegLS;
    if (rest == "4.90" || rest == "4.91" || rest == "4.92" || rest == "4.93") return Codec::jpeg2000;
    if (rest == "4.201" || rest == "4.202" || rest == "4.203") return Codec::jpeg2000;
    return Codec::none;
}

/// Refuses frames that so few bytes cannot hold, before memory is asked for. One bit codes at most a block of 64 samples
/// (DCT) or one sample (lossless JPEG), two bytes 128 (RLE). JPEG-LS and JPEG 2000 have no such bound: what is blank
/// costs almost nothing, so only the absurd is refused.
void checkPlausible(Codec codec, const ccodecs_image &image, size_t length) {
    uint64_t samples = sampleCount(image), bytes = samples * (image.bits_allocated / 8), most = 0;
    switch (codec) {
    case Codec::dctJPEG: most = uint64_t(length) * 8 * 64 * 4; break;  // with chroma 2 x 2
    case Codec::losslessJPEG: most = uint64_t(length) * 8; break;
    case Codec::rle: most = uint64_t(length) * 64; samples = bytes; break;
    default: most = bytes <= 64 << 20 ? samples : uint64_t(length) * 20000; break;
    }
    if (samples > most)
        malformed(std::to_string(length) + " bytes cannot hold " + size(image.rows, image.columns) + ".");
}

Buffer decode(const char *transferSyntax, const ccodecs_image &in, Bytes stream, ccodecs_image &out) {
    Codec kind = codec(transferSyntax);
    if (kind == Codec::none)
        unsupported("Frames in transfer syntax " + std::string(transferSyntax) + " cannot be decoded.");
    checkImage(in);
    if (stream.size == 0) malformed("The frame is empty.");
    checkPlausible(kind, in, stream.size);
    switch (kind) {
    case Codec::rle: return decodeRLE(stream, in);
    case Codec::jpeg2000: return decodeJPEG2000(stream, in, out);
    case Codec::jpegLS: return decodeDCMTK(transferSyntax, stream, in, out);
    default: break;
    }
    JPEGHeader header = readJPEGHeader(stream);
    if (header.isDCT() && header.precision == 8) return decodeLossyJPEG(stream, in, out);
    return decodeDCMTK(transferSyntax, stream, in, out);
}

}  // namespace

ccodecs_status ccodecs_decode_frame(
    const char *transferSyntax, const ccodecs_image *in, const uint8_t *bytes, size_t length, ccodecs_image *out,
    uint8_t **result, size_t *resultLength, char *why, size_t whySize) {
    *result = nullptr;
    *resultLength = 0;
    return guarded(why, whySize, [&] {
        ccodecs_image image = *in;
        image.photometric[sizeof image.photometric - 1] = 0;
        image.planar_configuration = 0;
        ccodecs_image decoded = image;
        Buffer frame = decode(transferSyntax, image, {bytes, length}, decoded);
        // Pixels share their chroma in the stream, if at all: what comes out has all samples (PS3.3 section C.7.6.3.1.2).
        if (is(decoded, "YBR_FULL_422")) setPhotometric(decoded, "YBR_FULL");
        if (frame.size() != decodedLength(decoded))
            throw Failure{CCODECS_FAILED, "The decoder gave a frame of another size than the data set says."};
        *out = decoded;
        frame.give(result, resultLength);
    });
}

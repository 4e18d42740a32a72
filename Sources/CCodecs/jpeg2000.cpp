// SPDX-License-Identifier: Apache-2.0
// JPEG 2000 by OpenJPEG, high throughput included. OpenJPH 0.9 is twice as fast at that, but shows what is left of a
// frame that is cut short, and crashes on damage a hundred times as often.
#include "codecs.hpp"
#include "samples.hpp"

#include <openjpeg-2.5/openjpeg.h>

namespace ccodecs {

namespace {

struct CodecDeleter {
    void operator()(opj_codec_t *codec) const { opj_destroy_codec(codec); }
};
struct StreamDeleter {
    void operator()(opj_stream_t *stream) const { opj_stream_destroy(stream); }
};
struct ImageDeleter {
    void operator()(opj_image_t *image) const { opj_image_destroy(image); }
};
using Codec = std::unique_ptr<opj_codec_t, CodecDeleter>;
using Stream = std::unique_ptr<opj_stream_t, StreamDeleter>;
using Image = std::unique_ptr<opj_image_t, ImageDeleter>;

void keepMessage(const char *message, void *kept) {
    auto *text = static_cast<std::string *>(kept);
    if (!text->empty()) return;
    *text = message;
    while (!text->empty() && (text->back() == '\n' || text->back() == '.')) text->pop_back();
}

void ignoreMessage(const char *, void *) {}

void listen(const Codec &codec, std::string &message) {
    opj_set_error_handler(codec.get(), keepMessage, &message);
    opj_set_warning_handler(codec.get(), ignoreMessage, nullptr);
    opj_set_info_handler(codec.get(), ignoreMessage, nullptr);
}

[[noreturn]] void failed(const char *what, const std::string &message) {
    malformed(std::string(what) + (message.empty() ? "." : ": " + message + "."));
}

struct Reading {
    Bytes bytes;
    size_t at;
};

OPJ_SIZE_T readSome(void *to, OPJ_SIZE_T count, void *user) {
    auto *reading = static_cast<Reading *>(user);
    size_t left = reading->bytes.size - reading->at;
    if (left == 0) return static_cast<OPJ_SIZE_T>(-1);
    if (count > left) count = left;
    std::memcpy(to, reading->bytes.data + reading->at, count);
    reading->at += count;
    return count;
}

OPJ_OFF_T skipRead(OPJ_OFF_T count, void *user) {
    auto *reading = static_cast<Reading *>(user);
    if (count < 0 || uint64_t(count) > reading->bytes.size - reading->at) return -1;
    reading->at += static_cast<size_t>(count);
    return count;
}

OPJ_BOOL seekRead(OPJ_OFF_T place, void *user) {
    auto *reading = static_cast<Reading *>(user);
    if (place < 0 || uint64_t(place) > reading->bytes.size) return OPJ_FALSE;
    reading->at = static_cast<size_t>(place);
    return OPJ_TRUE;
}

Stream reader(Reading &reading) {
    Stream stream(opj_stream_default_create(OPJ_TRUE));
    if (!stream) throw std::bad_alloc();
    opj_stream_set_user_data(stream.get(), &reading, nullptr);
    opj_stream_set_user_data_length(stream.get(), reading.bytes.size);
    opj_stream_set_read_function(stream.get(), readSome);
    opj_stream_set_skip_function(stream.get(), skipRead);
    opj_stream_set_seek_function(stream.get(), seekRead);
    return stream;
}

struct Writing {
    Buffer bytes;
    size_t at = 0;
};

// OpenJPEG is C: nothing may be thrown through it.
OPJ_SIZE_T writeSome(void *from, OPJ_SIZE_T count, void *user) {
    auto *writing = static_cast<Writing *>(user);
    try {
        if (writing->at + count > writing->bytes.size()) writing->bytes.resize(writing->at + count);
    } catch (...) {
        return static_cast<OPJ_SIZE_T>(-1);
    }
    std::memcpy(writing->bytes.data() + writing->at, from, count);
    writing->at += count;
    return count;
}

OPJ_OFF_T skipWrite(OPJ_OFF_T, void *) { return -1; }

OPJ_BOOL seekWrite(OPJ_OFF_T place, void *user) {
    auto *writing = static_cast<Writing *>(user);
    if (place < 0 || uint64_t(place) > writing->bytes.size()) return OPJ_FALSE;
    writing->at = static_cast<size_t>(place);
    return OPJ_TRUE;
}

Stream writer(Writing &writing) {
    Stream stream(opj_stream_default_create(OPJ_FALSE));
    if (!stream) throw std::bad_alloc();
    opj_stream_set_user_data(stream.get(), &writing, nullptr);
    opj_stream_set_write_function(stream.get(), writeSome);
    opj_stream_set_skip_function(stream.get(), skipWrite);
    opj_stream_set_seek_function(stream.get(), seekWrite);
    return stream;
}

/// A whole JP2 file instead of the bare code stream is against PS3.5 section A.4.4, and met.
bool isJP2(Bytes stream) {
    static const uint8_t signature[] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};
    return stream.size >= sizeof signature && std::memcmp(stream.data, signature, sizeof signature) == 0;
}

void checkComponents(const opj_image_t &image, const ccodecs_image &in) {
    checkDimensions(in, uint64_t(image.y1) - image.y0, uint64_t(image.x1) - image.x0, image.numcomps);
    for (OPJ_UINT32 index = 0; index < image.numcomps; index++) {
        const opj_image_comp_t &component = image.comps[index];
        if (component.dx != 1 || component.dy != 1)
            unsupported("JPEG 2000 with subsampled components is not supported.");
        if (component.prec < 1 || component.prec > in.bits_allocated || component.prec > 31)
            malformed("The bit stream has " + std::to_string(component.prec) + " bits, the data set allocates " +
                      std::to_string(in.bits_allocated) + ".");
    }
}

}  // namespace

Buffer decodeJPEG2000(Bytes bytes, const ccodecs_image &in, ccodecs_image &out) {
    Reading reading{bytes, 0};
    Stream stream = reader(reading);
    Codec codec(opj_create_decompress(isJP2(bytes) ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K));
    if (!codec) throw std::bad_alloc();
    std::string message;
    listen(codec, message);
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    if (!opj_setup_decoder(codec.get(), &parameters)) failed("The JPEG 2000 decoder did not start", message);
    opj_image_t *raw = nullptr;
    bool read = opj_read_header(stream.get(), codec.get(), &raw);
    Image image(raw);
    if (!read || !image) failed("The JPEG 2000 header cannot be read", message);
    checkComponents(*image, in);
    if (!opj_decode(codec.get(), stream.get(), image.get())) failed("The JPEG 2000 frame cannot be decoded", message);
    opj_end_decompress(codec.get(), stream.get());
    checkComponents(*image, in);
    Buffer frame(decodedLength(in));
    for (OPJ_UINT32 index = 0; index < image->numcomps; index++) {
        const opj_image_comp_t &component = image->comps[index];
        if (component.data == nullptr || component.w != in.columns || component.h != in.rows)
            malformed("The JPEG 2000 frame has no samples.");
        SampleWriter(in, {component.prec, component.sgnd != 0})
            .write(component.data, pixelCount(in), index, 0, frame.data());
    }
    if (is(in, "YBR_RCT") || is(in, "YBR_ICT")) setPhotometric(out, "RGB");
    return frame;
}

namespace {

uint32_t cell(Bytes frame, const ccodecs_image &in, size_t index) {
    if (in.bits_allocated == 8) return frame.data[index];
    return uint32_t(frame.data[2 * index]) | uint32_t(frame.data[2 * index + 1]) << 8;
}

/// The narrowest precision that gives every cell back bit for bit: bits above Bits Stored count too.
unsigned neededPrecision(Bytes frame, const ccodecs_image &in) {
    if (in.bits_stored == in.bits_allocated || in.bits_allocated > 16) return in.bits_allocated;
    size_t count = sampleCount(in);
    unsigned stored = in.bits_stored;
    for (size_t index = 0; index < count; index++) {
        uint32_t value = cell(frame, in, index), kept = value & ((1u << stored) - 1);
        if (in.pixel_representation == 1)
            kept = uint32_t(signExtended(value, stored)) & ((1u << in.bits_allocated) - 1);
        if (kept != value) return in.bits_allocated;
    }
    return stored;
}

Image filled(Bytes frame, const ccodecs_image &in) {
    opj_image_cmptparm_t parameters[4] = {};
    unsigned precision = neededPrecision(frame, in);
    for (auto &component : parameters) {
        component.dx = component.dy = 1;
        component.w = in.columns;
        component.h = in.rows;
        component.prec = precision;
        component.sgnd = in.pixel_representation;
    }
    OPJ_COLOR_SPACE space = in.samples_per_pixel == 3 ? OPJ_CLRSPC_SRGB : OPJ_CLRSPC_GRAY;
    Image image(opj_image_create(in.samples_per_pixel, parameters, space));
    if (!image) throw std::bad_alloc();
    image->x1 = in.columns;
    image->y1 = in.rows;
    size_t count = pixelCount(in), stride = in.samples_per_pixel;
    for (size_t component = 0; component < stride; component++) {
        OPJ_INT32 *to = image->comps[component].data;
        for (size_t index = 0; index < count; index++) {
            uint32_t value = cell(frame, in, index * stride + component);
            to[index] = in.pixel_representation == 1 ? signExtended(value, in.bits_allocated) : OPJ_INT32(value);
        }
    }
    return image;
}

/// Small images cannot be halved six times.
int resolutions(const ccodecs_image &in) {
    int result = 1;
    unsigned side = in.rows < in.columns ? in.rows : in.columns;
    while (result < 6 && (side >> result) > 0) result++;
    return result;
}

}  // namespace

Buffer encodeJPEG2000(Bytes frame, const ccodecs_image &in, ccodecs_image &out) {
    if (in.bits_allocated > 16) unsupported("JPEG 2000 is written for up to 16 bits allocated.");
    Image image = filled(frame, in);
    opj_cparameters_t parameters;
    opj_set_default_encoder_parameters(&parameters);
    parameters.tcp_numlayers = 1;
    parameters.tcp_rates[0] = 0;
    parameters.cp_disto_alloc = 1;
    parameters.numresolution = resolutions(in);
    parameters.irreversible = 0;
    // The colour transform is for RGB only; what is YBR already stays as it is (PS3.5 section 8.2.4).
    parameters.tcp_mct = is(in, "RGB") ? 1 : 0;
    Codec codec(opj_create_compress(OPJ_CODEC_J2K));
    if (!codec) throw std::bad_alloc();
    std::string message;
    listen(codec, message);
    Writing writing;
    Stream stream = writer(writing);
    bool written = opj_setup_encoder(codec.get(), &parameters, image.get()) &&
                   opj_start_compress(codec.get(), image.get(), stream.get()) &&
                   opj_encode(codec.get(), stream.get()) && opj_end_compress(codec.get(), stream.get());
    if (!written) throw Failure{CCODECS_FAILED, "The frame cannot be encoded as JPEG 2000: " + message + "."};
    if (parameters.tcp_mct) setPhotometric(out, "YBR_RCT");
    return std::move(writing.bytes);
}

}  // namespace ccodecs

// SPDX-License-Identifier: Apache-2.0
// JPEG of 8 bits by libjpeg-turbo, which is several times as fast as the library inside DCMTK.
#include "codecs.hpp"

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>

namespace ccodecs {

namespace {

/// libjpeg leaves by longjmp: the functions that call it hold nothing with a destructor, and report through this.
struct ErrorManager {
    jpeg_error_mgr manager;
    jmp_buf leave;
    char message[JMSG_LENGTH_MAX];
    bool damaged;
};

void leave(j_common_ptr common) {
    auto *errors = reinterpret_cast<ErrorManager *>(common->err);
    errors->manager.format_message(common, errors->message);
    longjmp(errors->leave, 1);
}

/// libjpeg goes on after damage and invents grey. Only bytes between segments are harmless.
void note(j_common_ptr common, int level) {
    if (level >= 0) return;
    auto *errors = reinterpret_cast<ErrorManager *>(common->err);
    int code = errors->manager.msg_code;
    if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM || code == JWRN_BOGUS_ICC)
        return;
    if (!errors->damaged) errors->manager.format_message(common, errors->message);
    errors->damaged = true;
}

void silent(j_common_ptr) {}

jpeg_error_mgr *prepare(ErrorManager &errors) {
    std::memset(&errors, 0, sizeof errors);
    jpeg_std_error(&errors.manager);
    errors.manager.error_exit = leave;
    errors.manager.emit_message = note;
    errors.manager.output_message = silent;
    return &errors.manager;
}

bool readPixels(Bytes stream, bool isYBR, uint8_t *to, size_t rowLength, ErrorManager &errors) {
    jpeg_decompress_struct jpeg;
    std::memset(&jpeg, 0, sizeof jpeg);
    jpeg.err = prepare(errors);
    if (setjmp(errors.leave) != 0) {
        jpeg_destroy_decompress(&jpeg);
        return false;
    }
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, stream.data, stream.size);
    jpeg_read_header(&jpeg, TRUE);
    // The data set's Photometric Interpretation decides, not markers of JFIF or Adobe.
    if (jpeg.num_components == 3) {
        jpeg.jpeg_color_space = isYBR ? JCS_YCbCr : JCS_RGB;
        jpeg.out_color_space = JCS_RGB;
    } else {
        jpeg.out_color_space = jpeg.jpeg_color_space;
    }
    jpeg_start_decompress(&jpeg);
    while (jpeg.output_scanline < jpeg.output_height && !errors.damaged) {
        JSAMPROW row = to + size_t(jpeg.output_scanline) * rowLength;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    if (!errors.damaged) jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return !errors.damaged;
}

/// Grey needs no conversion, but libjpeg copies it byte by byte as if it did, a quarter of its time; so it gets whole blocks.
/// Where the last ones end beyond the picture, they hold its last row and column again, as libjpeg itself would have it.
void writeGrey(jpeg_compress_struct &jpeg, const uint8_t *pixels, uint8_t *padded) {
    size_t width = jpeg.image_width, paddedWidth = (width + DCTSIZE - 1) / DCTSIZE * DCTSIZE;
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW rows[DCTSIZE];
        for (size_t index = 0; index < DCTSIZE; index++) {
            size_t row = std::min(size_t(jpeg.next_scanline) + index, size_t(jpeg.image_height) - 1);
            rows[index] = const_cast<uint8_t *>(pixels) + row * width;
            if (paddedWidth == width) continue;
            uint8_t *copy = padded + index * paddedWidth;
            std::memcpy(copy, rows[index], width);
            std::memset(copy + width, copy[width - 1], paddedWidth - width);
            rows[index] = copy;
        }
        JSAMPARRAY planes[] = {rows};
        jpeg_write_raw_data(&jpeg, planes, DCTSIZE);
    }
}

void writeColour(jpeg_compress_struct &jpeg, const uint8_t *pixels) {
    size_t rowLength = size_t(jpeg.image_width) * size_t(jpeg.input_components);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = const_cast<uint8_t *>(pixels) + size_t(jpeg.next_scanline) * rowLength;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
}

/// `padded` is memory for eight rows with seven bytes more.
bool writePixels(
    const uint8_t *pixels, uint32_t width, uint32_t height, J_COLOR_SPACE space, int quality, uint8_t *padded,
    unsigned char **to, unsigned long *length, ErrorManager &errors) {
    jpeg_compress_struct jpeg;
    std::memset(&jpeg, 0, sizeof jpeg);
    jpeg.err = prepare(errors);
    if (setjmp(errors.leave) != 0) {
        jpeg_destroy_compress(&jpeg);
        return false;
    }
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, to, length);
    jpeg.image_width = width;
    jpeg.image_height = height;
    jpeg.input_components = space == JCS_GRAYSCALE ? 1 : 3;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, quality, TRUE);
    if (space != JCS_GRAYSCALE) {
        jpeg.comp_info[0].h_samp_factor = 2;
        jpeg.comp_info[0].v_samp_factor = 1;
    }
    jpeg.raw_data_in = space == JCS_GRAYSCALE ? TRUE : FALSE;
    jpeg_start_compress(&jpeg, TRUE);
    if (space == JCS_GRAYSCALE) writeGrey(jpeg, pixels, padded);
    else writeColour(jpeg, pixels);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return true;
}

Buffer write(const uint8_t *pixels, uint32_t width, uint32_t height, J_COLOR_SPACE space, uint32_t quality) {
    if (width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION)
        tooLarge("A JPEG has at most 65500 rows and columns.");
    unsigned char *bytes = nullptr;
    unsigned long length = 0;
    auto errors = std::make_unique<ErrorManager>();
    Buffer padded(size_t(width + DCTSIZE) * DCTSIZE);
    bool written = writePixels(pixels, width, height, space, int(quality), padded.data(), &bytes, &length, *errors);
    std::unique_ptr<unsigned char, void (*)(void *)> owned(bytes, std::free);
    if (!written) throw Failure{CCODECS_FAILED, std::string("The JPEG cannot be written: ") + errors->message + "."};
    Buffer result;
    result.append(bytes, length);
    return result;
}

/// 8-bit samples into the wider cells that some data sets allocate for them.
Buffer widened(Buffer narrow, const ccodecs_image &image) {
    size_t cell = image.bits_allocated / 8;
    if (cell == 1) return narrow;
    Buffer wide(narrow.size() * cell);
    for (size_t index = 0; index < narrow.size(); index++) wide.data()[index * cell] = narrow.data()[index];
    return wide;
}

}  // namespace

Buffer decodeLossyJPEG(Bytes stream, const ccodecs_image &in, ccodecs_image &out) {
    JPEGHeader header = readJPEGHeader(stream);
    checkDimensions(in, header.rows, header.columns, header.components);
    bool isYBR = std::strncmp(in.photometric, "YBR_", 4) == 0;
    Buffer frame(sampleCount(in));
    auto errors = std::make_unique<ErrorManager>();
    size_t rowLength = size_t(in.columns) * in.samples_per_pixel;
    if (!readPixels(stream, isYBR, frame.data(), rowLength, *errors))
        malformed(std::string("The JPEG cannot be decoded: ") + errors->message + ".");
    if (isYBR && in.samples_per_pixel == 3) setPhotometric(out, "RGB");
    return widened(std::move(frame), in);
}

Buffer writeJPEG(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t samples, uint32_t quality) {
    return write(pixels, width, height, samples == 1 ? JCS_GRAYSCALE : JCS_RGB, quality);
}

Buffer writeYCbCr(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t quality) {
    return write(pixels, width, height, JCS_YCbCr, quality);
}

}  // namespace ccodecs

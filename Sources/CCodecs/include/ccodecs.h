// SPDX-License-Identifier: Apache-2.0
// Everything that reads, writes or shows pixels, for the codec worker process and for nothing else: the libraries behind
// it are C++ and are fed what came over the network. No C++ exception crosses this interface.
//
// Not for several threads at once. Every buffer given out is freed with ccodecs_free.
//
// Debian: libdcmtk-dev libopenjp2-7-dev libjpeg-dev libpng-dev libfreetype-dev; at run time
// fonts-dejavu-core for annotations.
// Compile: -std=c++17 -DHAVE_CONFIG_H -I/usr/include/freetype2
// Link: dcmimage dcmimgle dcmjpeg dcmjpls dcmdata oflog ofstd openjp2 jpeg png freetype stdc++
#ifndef SNIMOK_CCODECS_H
#define SNIMOK_CCODECS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// How a call ended. What is not CCODECS_OK has left a sentence for the person in `why`.
typedef enum {
    CCODECS_OK = 0,
    /// The bit stream is damaged, or contradicts the data set.
    CCODECS_MALFORMED = 1,
    /// Sound as far as we can tell, but nothing here can do it.
    CCODECS_UNSUPPORTED = 2,
    /// Above our limits, or out of memory.
    CCODECS_TOO_LARGE = 3,
    /// A library failed in a way it does not explain.
    CCODECS_FAILED = 4,
} ccodecs_status;

/// The Image Pixel attributes of one frame (PS3.3 section C.7.6.3).
typedef struct {
    uint16_t rows;
    uint16_t columns;
    uint16_t samples_per_pixel;
    uint16_t bits_allocated;
    uint16_t bits_stored;
    uint16_t high_bit;
    uint16_t pixel_representation;
    uint16_t planar_configuration;
    /// Photometric Interpretation, ended by NUL, without padding.
    char photometric[32];
} ccodecs_image;

/// Does everything that needs the file system: loads DCMTK's data dictionary and the font, registers the codecs.
/// Call it once, before the sandbox. Returns 0, or 1 without the dictionary. A missing font only makes annotations fail.
int32_t ccodecs_initialize(void);

/// Closes the process in: no files, no sockets, no processes, no executable memory. Open descriptors stay, and more may
/// be received over a socket. Returns 0 or an errno; on failure the caller must not go on.
///
/// `memory_bytes` is address space beyond what is mapped now. `cpu_seconds` (0: none) counts from the start of the
/// process and is a soft limit (SIGXCPU): a parent that gives a worker several frames moves it with prlimit(2).
int32_t ccodecs_enter_sandbox(uint64_t memory_bytes, uint32_t cpu_seconds);

/// Decodes one frame: its whole bit stream, fragments joined, to what native Pixel Data in Explicit VR Little Endian has
/// for one frame (without padding to even length), colour by pixel. `out` says what it is now.
///
/// JPEG and JPEG 2000 in a YBR interpretation become RGB; RLE and JPEG-LS keep theirs.
ccodecs_status ccodecs_decode_frame(
    const char *transfer_syntax, const ccodecs_image *in, const uint8_t *bytes, size_t length, ccodecs_image *out,
    uint8_t **result, size_t *result_length, char *why, size_t why_size);

/// Encodes one native frame (Explicit VR Little Endian, either planar configuration) as one bit stream of even length.
/// `out` says what the data set must say of it. Targets: JPEG-LS lossless (…4.80), JPEG 2000 lossless (…4.90), RLE (…2.5),
/// all bit exact; JPEG baseline (…4.50) with `quality` 1 to 100.
ccodecs_status ccodecs_encode_frame(
    const char *transfer_syntax, const ccodecs_image *in, const uint8_t *bytes, size_t length, uint32_t quality,
    ccodecs_image *out, uint8_t **result, size_t *result_length, char *why, size_t why_size);

/// VOI LUT functions (PS3.3 section C.11.2.1.2).
typedef enum {
    CCODECS_LINEAR = 0,
    CCODECS_LINEAR_EXACT = 1,
    CCODECS_SIGMOID = 2,
} ccodecs_window_function;

typedef enum {
    CCODECS_JPEG = 0,
    CCODECS_PNG = 1,
    /// 8-bit grey or RGB, row after row, without padding.
    CCODECS_RAW = 2,
} ccodecs_format;

/// How to show a frame (PS3.18 section 8.3.5.1). All zero is the frame as it is, as JPEG.
typedef struct {
    ccodecs_format format;
    /// JPEG quality from 1 to 100; 0 is 90.
    uint32_t quality;
    /// Number of the frame in its instance, from 1 (0 counts as 1): its functional groups and its overlay frame.
    uint32_t frame;
    /// The picture is made as large as fits, keeping the aspect ratio. 0 for both: as large as the source.
    uint32_t viewport_width;
    uint32_t viewport_height;
    /// Part of the source to show, in its pixels. Width or height 0: to the edge. Negative: flipped.
    double region_x;
    double region_y;
    double region_width;
    double region_height;
    /// 1 if the window below is to be used instead of the header's. It speaks of values after the Modality LUT.
    uint32_t has_window;
    ccodecs_window_function window_function;
    double window_center;
    double window_width;
    /// 1 if overlays (groups 6000 to 601E) are shown, in white.
    uint32_t show_overlays;
    /// UTF-8, lines separated by line feeds, at most 16, drawn at the top left. May be NULL.
    const char *annotation;
} ccodecs_rendering;

typedef struct {
    uint32_t width;
    uint32_t height;
    /// 1 grey, 3 RGB.
    uint32_t samples;
    /// The window that was used, for the next frame of a cine that has none of its own. 0 where there was none
    /// (colour, VOI LUT).
    uint32_t has_window;
    ccodecs_window_function window_function;
    double window_center;
    double window_width;
    uint8_t *bytes;
    size_t length;
} ccodecs_rendered;

/// Renders one native frame (as ccodecs_decode_frame gives it; also 1 bit allocated, the frame beginning with a whole
/// byte). `header` is the data set in Explicit VR Little Endian without file meta group and Pixel Data, but with overlay
/// data, lookup tables and palettes, however long; its Image Pixel attributes give way to `image`.
ccodecs_status ccodecs_render(
    const uint8_t *header, size_t header_length, const ccodecs_image *image, const uint8_t *frame, size_t length,
    const ccodecs_rendering *options, ccodecs_rendered *result, char *why, size_t why_size);

/// An animated GIF in the making.
typedef struct ccodecs_gif ccodecs_gif;

/// Begins an animation that repeats for ever. NULL when out of memory.
ccodecs_gif *ccodecs_gif_begin(uint32_t width, uint32_t height, char *why, size_t why_size);

/// Adds a frame of 8-bit grey (`samples` 1) or RGB (3) of the size given to begin, to be shown for `delay_ms`.
ccodecs_status ccodecs_gif_add(
    ccodecs_gif *gif, const uint8_t *pixels, uint32_t samples, uint32_t delay_ms, char *why, size_t why_size);

/// Gives the file. The animation is gone afterwards, whatever is returned.
ccodecs_status ccodecs_gif_finish(ccodecs_gif *gif, uint8_t **result, size_t *result_length, char *why, size_t why_size);

/// Gives up an animation that is not finished.
void ccodecs_gif_abandon(ccodecs_gif *gif);

void ccodecs_free(void *memory);

#ifdef __cplusplus
}
#endif

#endif

// SPDX-License-Identifier: Apache-2.0
// High-throughput JPEG 2000 by OpenJPH.
#include "codecs.hpp"
#include "samples.hpp"

#include <openjph/ojph_arch.h>
#include <openjph/ojph_base.h>
#include <openjph/ojph_codestream.h>
#include <openjph/ojph_file.h>
#include <openjph/ojph_mem.h>
#include <openjph/ojph_message.h>
#include <openjph/ojph_params.h>

#include <cstdarg>

namespace ccodecs {

namespace {

/// OpenJPH prints its errors and then throws; here only the second.
struct ThrowingError : ojph::message_error {
    void operator()(int, const char *, int, const char *format, ...) override {
        char text[256];
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        malformed(std::string("The HTJ2K frame cannot be decoded: ") + text + ".");
    }
};

struct Quiet : ojph::message_warning {
    void operator()(int, const char *, int, const char *, ...) override {}
};
struct Silent : ojph::message_info {
    void operator()(int, const char *, int, const char *, ...) override {}
};

void listen() {
    static ThrowingError error;
    static Quiet warning;
    static Silent info;
    ojph::configure_error(&error);
    ojph::configure_warning(&warning);
    ojph::configure_info(&info);
}

ComponentRange range(const ojph::param_siz &size, ojph::ui32 component, const ccodecs_image &in) {
    ComponentRange range{size.get_bit_depth(component), size.is_signed(component)};
    if (range.precision < 1 || range.precision > in.bits_allocated || range.precision > 31)
        malformed("The bit stream has " + std::to_string(range.precision) + " bits, the data set allocates " +
                  std::to_string(in.bits_allocated) + ".");
    ojph::point sampling = size.get_downsampling(component);
    if (sampling.x != 1 || sampling.y != 1) unsupported("HTJ2K with subsampled components is not supported.");
    return range;
}

}  // namespace

Buffer decodeHTJ2K(Bytes bytes, const ccodecs_image &in, ccodecs_image &out) {
    listen();
    ojph::mem_infile file;
    file.open(bytes.data, bytes.size);
    ojph::codestream stream;
    stream.read_headers(&file);
    ojph::param_siz siz = stream.access_siz();
    ojph::point extent = siz.get_image_extent(), offset = siz.get_image_offset();
    ojph::ui32 components = siz.get_num_components();
    checkDimensions(in, uint64_t(extent.y) - offset.y, uint64_t(extent.x) - offset.x, components);
    for (ojph::ui32 index = 0; index < components; index++) range(siz, index, in);
    stream.set_planar(false);
    stream.create();
    Buffer frame(frameLength(in));
    size_t line[4] = {};
    uint64_t lines = uint64_t(in.rows) * components;
    for (uint64_t count = 0; count < lines; count++) {
        ojph::ui32 component = 0;
        ojph::line_buf *pulled = stream.pull(component);
        if (pulled == nullptr || component >= components || line[component] >= in.rows || pulled->size < in.columns)
            malformed("The HTJ2K frame has too few lines.");
        SampleWriter(in, range(siz, component, in))
            .write(pulled->i32, in.columns, component, line[component]++ * in.columns, frame.data());
    }
    stream.close();
    if (is(in, "YBR_RCT") || is(in, "YBR_ICT")) setPhotometric(out, "RGB");
    return frame;
}

}  // namespace ccodecs

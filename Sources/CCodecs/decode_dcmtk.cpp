// SPDX-License-Identifier: Apache-2.0
// Lossless JPEG, JPEG of 12 bits, and JPEG-LS, by DCMTK.
#include "codecs.hpp"
#include "samples.hpp"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dccodec.h>
#include <dcmtk/dcmdata/dcdatset.h>
#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcxfer.h>

namespace ccodecs {

namespace {

/// The attributes the decoders ask for. DCMTK insists on the narrowest cell for a stream's precision, and some data sets
/// allocate more: the decoder gets what it wants, and the samples are widened afterwards.
void describe(DcmDataset &dataset, const ccodecs_image &image, const JPEGHeader &header) {
    dataset.putAndInsertUint16(DCM_Rows, image.rows);
    dataset.putAndInsertUint16(DCM_Columns, image.columns);
    dataset.putAndInsertUint16(DCM_SamplesPerPixel, image.samples_per_pixel);
    dataset.putAndInsertUint16(DCM_BitsAllocated, header.precision > 8 ? 16 : 8);
    dataset.putAndInsertUint16(DCM_BitsStored, static_cast<Uint16>(header.precision));
    dataset.putAndInsertUint16(DCM_HighBit, static_cast<Uint16>(header.precision - 1));
    dataset.putAndInsertUint16(DCM_PixelRepresentation, image.pixel_representation);
    dataset.putAndInsertUint16(DCM_PlanarConfiguration, 0);
    dataset.putAndInsertString(DCM_PhotometricInterpretation, image.photometric);
    dataset.putAndInsertString(DCM_NumberOfFrames, "1");
}

/// A pixel sequence with an empty offset table and the stream as its one fragment.
std::unique_ptr<DcmPixelSequence> sequence(Bytes stream) {
    if (stream.size > 0xFFFFFFF0u) tooLarge("The compressed frame is larger than 4 GiB.");
    auto sequence = std::make_unique<DcmPixelSequence>(DCM_PixelSequenceTag);
    sequence->insert(new DcmPixelItem(DCM_PixelItemTag));
    auto *fragment = new DcmPixelItem(DCM_PixelItemTag);
    sequence->insert(fragment);
    std::unique_ptr<uint8_t[]> padded;
    size_t size = stream.size;
    if (size % 2 != 0) {
        padded.reset(new uint8_t[size + 1]());
        std::memcpy(padded.get(), stream.data, size++);
    }
    OFCondition stored = fragment->putUint8Array(padded ? padded.get() : stream.data, static_cast<unsigned long>(size));
    if (stored.bad()) throw std::bad_alloc();
    return sequence;
}

/// To the cells that the data set allocates, with the sign where the data set has it.
Buffer widened(Buffer narrow, const ccodecs_image &image, unsigned precision) {
    bool extends =
        image.pixel_representation == 1 && precision <= image.bits_stored && precision < image.bits_allocated;
    unsigned from = precision > 8 ? 2 : 1, to = image.bits_allocated / 8;
    if (from == to && !extends) return narrow;
    size_t count = sampleCount(image);
    Buffer wide(count * to);
    for (size_t index = 0; index < count; index++) {
        uint32_t value = from == 1 ? narrow.data()[index] : reinterpret_cast<const uint16_t *>(narrow.data())[index];
        if (extends) value = static_cast<uint32_t>(signExtended(value, precision));
        if (to == 1) wide.data()[index] = static_cast<uint8_t>(value);
        else if (to == 2) reinterpret_cast<uint16_t *>(wide.data())[index] = static_cast<uint16_t>(value);
        else reinterpret_cast<uint32_t *>(wide.data())[index] = value;
    }
    return wide;
}

}  // namespace

Buffer decodeDCMTK(const char *transferSyntax, Bytes stream, const ccodecs_image &in, ccodecs_image &out) {
    JPEGHeader header = readJPEGHeader(stream);
    checkDimensions(in, header.rows, header.columns, header.components);
    if (header.precision < 2 || header.precision > 16) malformed("The bit stream's precision is not 2 to 16 bits.");
    if (header.precision > in.bits_allocated)
        malformed("The bit stream has " + std::to_string(header.precision) + " bits, the data set allocates " +
                  std::to_string(in.bits_allocated) + ".");
    DcmDataset dataset;
    describe(dataset, in, header);
    auto pixels = sequence(stream);
    // One byte more than an odd frame needs: DCMTK treats the buffer as whole words.
    uint64_t length = sampleCount(in) * (header.precision > 8 ? 2 : 1), whole = length + length % 2;
    Buffer frame(whole);
    Uint32 fragment = 1;
    OFString photometric;
    OFCondition decoded = DcmCodecList::decodeFrame(
        DcmXfer(transferSyntax), nullptr, pixels.get(), &dataset, 0, fragment, frame.data(), static_cast<Uint32>(whole),
        photometric);
    if (decoded.bad()) malformed(std::string("The frame cannot be decoded: ") + decoded.text() + ".");
    frame.resize(length);
    // Monochrome stays what the data set calls it: DCMTK says MONOCHROME2 for MONOCHROME1 and PALETTE COLOR too.
    if (in.samples_per_pixel > 1) setPhotometric(out, photometric.c_str());
    return widened(std::move(frame), in, header.precision);
}

}  // namespace ccodecs

// SPDX-License-Identifier: Apache-2.0
// Colour: what is common here, the rest by DCMTK's DicomImage.
#include "render.hpp"

#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcelem.h>
#include <dcmtk/dcmimage/diregist.h>
#include <dcmtk/dcmimgle/dcmimage.h>

namespace ccodecs {

namespace {

struct PaletteTags {
    DcmTagKey descriptor, data, segmented;
};

const PaletteTags paletteTags[] = {
    {DCM_RedPaletteColorLookupTableDescriptor, DCM_RedPaletteColorLookupTableData,
     DCM_SegmentedRedPaletteColorLookupTableData},
    {DCM_GreenPaletteColorLookupTableDescriptor, DCM_GreenPaletteColorLookupTableData,
     DCM_SegmentedGreenPaletteColorLookupTableData},
    {DCM_BluePaletteColorLookupTableDescriptor, DCM_BluePaletteColorLookupTableData,
     DCM_SegmentedBluePaletteColorLookupTableData},
};

/// Expands a segmented palette, which DCMTK does not know (PS3.3 section C.7.9.2).
std::vector<uint16_t> expanded(const std::vector<uint16_t> &code, size_t entries) {
    std::vector<uint16_t> values;
    // Each segment adds an entry or is refused; an indirect one names others by their offset, and must not nest.
    auto run = [&](auto &self, size_t at, size_t segments, bool nested) -> void {
        for (; segments > 0 && at + 1 < code.size() && values.size() < entries; segments--) {
            uint16_t kind = code[at], count = code[at + 1];
            if (kind == 0 && at + 2 + count <= code.size()) {
                values.insert(values.end(), code.begin() + long(at) + 2, code.begin() + long(at) + 2 + count);
                at += 2u + count;
            } else if (kind == 1 && at + 2 < code.size() && !values.empty()) {
                double from = values.back(), to = code[at + 2];
                for (uint32_t step = 1; step <= count; step++)
                    values.push_back(uint16_t(from + (to - from) * step / count + 0.5));
                at += 3;
            } else if (kind == 2 && at + 3 < code.size() && !nested) {
                self(self, code[at + 2] | size_t(code[at + 3]) << 16, count, true);
                at += 4;
            } else {
                malformed("The segmented palette is damaged.");
            }
        }
    };
    run(run, 0, code.size(), false);
    if (values.size() < entries) malformed("The segmented palette is too short.");
    values.resize(entries);
    return values;
}

void copyPalette(DcmItem &from, DcmItem &to) {
    for (const PaletteTags &tags : paletteTags) {
        if (from.findAndInsertCopyOfElement(tags.descriptor, &to).bad()) malformed("The palette is missing.");
        if (from.findAndInsertCopyOfElement(tags.data, &to).good()) continue;
        DcmElement *element = nullptr;
        DcmElement *descriptor = nullptr;
        Uint16 entries = 0;
        if (from.findAndGetElement(tags.segmented, element).bad() ||
            from.findAndGetElement(tags.descriptor, descriptor).bad())
            malformed("The palette is missing.");
        Sint16 signedEntries = 0;
        if (descriptor->getUint16(entries).bad() && descriptor->getSint16(signedEntries).good())
            entries = static_cast<Uint16>(signedEntries);
        auto code = tableValues(from, tags.segmented, element->getLength() / 2);
        auto values = expanded(code, entries == 0 ? 65536 : entries);
        to.putAndInsertUint16Array(tags.data, values.data(), static_cast<unsigned long>(values.size()));
    }
}

void describe(DcmDataset &dataset, const ccodecs_image &image, const uint8_t *frame) {
    dataset.putAndInsertUint16(DCM_Rows, image.rows);
    dataset.putAndInsertUint16(DCM_Columns, image.columns);
    dataset.putAndInsertUint16(DCM_SamplesPerPixel, image.samples_per_pixel);
    dataset.putAndInsertUint16(DCM_BitsAllocated, image.bits_allocated);
    dataset.putAndInsertUint16(DCM_BitsStored, image.bits_stored);
    dataset.putAndInsertUint16(DCM_HighBit, image.high_bit);
    dataset.putAndInsertUint16(DCM_PixelRepresentation, image.pixel_representation);
    dataset.putAndInsertUint16(DCM_PlanarConfiguration, image.planar_configuration);
    dataset.putAndInsertString(DCM_PhotometricInterpretation, image.photometric);
    size_t length = frameLength(image);
    if (image.bits_allocated == 8 && length % 2 == 0) {
        dataset.putAndInsertUint8Array(DCM_PixelData, frame, static_cast<unsigned long>(length));
    } else {
        Buffer words(length + length % 2);
        std::memcpy(words.data(), frame, length);
        dataset.putAndInsertUint16Array(
            DCM_PixelData, reinterpret_cast<const Uint16 *>(words.data()), static_cast<unsigned long>(words.size() / 2));
    }
}

uint8_t clamped(int value) { return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value); }

/// PS3.3 section C.7.6.3.1.2, in 16.16 fixed point; DicomImage is off by two.
void convertYBR(uint8_t luma, uint8_t blue, uint8_t red, uint8_t *to) {
    int y = (luma << 16) + 32768, cb = blue - 128, cr = red - 128;
    to[0] = clamped((y + 91881 * cr) >> 16);
    to[1] = clamped((y - 22554 * cb - 46802 * cr) >> 16);
    to[2] = clamped((y + 116130 * cb) >> 16);
}

/// 8-bit samples of any layout that needs no table. False if the image is another.
bool convertPlain(const ccodecs_image &image, const uint8_t *frame, Picture &picture) {
    if (image.bits_allocated != 8 || image.bits_stored != 8 || image.samples_per_pixel != 3) return false;
    bool isRGB = is(image, "RGB"), isShared = is(image, "YBR_FULL_422");
    if (!isRGB && !isShared && !is(image, "YBR_FULL")) return false;
    size_t count = pixelCount(image);
    uint8_t *to = picture.pixels.data();
    if (isShared) {
        if (image.columns % 2 != 0) malformed("YBR_FULL_422 needs an even number of columns.");
        for (size_t pixel = 0; pixel < count; pixel++, to += 3) {
            const uint8_t *pair = frame + pixel / 2 * 4;
            convertYBR(pair[pixel % 2], pair[2], pair[3], to);
        }
        return true;
    }
    bool isPlanar = image.planar_configuration == 1;
    size_t step = isPlanar ? 1 : 3, plane = isPlanar ? count : 1;
    for (size_t pixel = 0; pixel < count; pixel++, to += 3, frame += step) {
        if (isRGB) {
            for (size_t sample = 0; sample < 3; sample++) to[sample] = frame[sample * plane];
        } else {
            convertYBR(frame[0], frame[plane], frame[2 * plane], to);
        }
    }
    return true;
}

}  // namespace

Picture renderColour(const ccodecs_image &image, const uint8_t *frame, const Header &header) {
    Picture picture(image.columns, image.rows, 3);
    if (convertPlain(image, frame, picture)) return picture;
    DcmDataset dataset;
    describe(dataset, image, frame);
    if (is(image, "PALETTE COLOR")) copyPalette(header.root(), dataset);
    DicomImage shown(&dataset, EXS_LittleEndianExplicit);
    if (shown.getStatus() != EIS_Normal)
        unsupported(std::string("The image cannot be shown: ") + DicomImage::getString(shown.getStatus()) + ".");
    if (shown.getWidth() != image.columns || shown.getHeight() != image.rows)
        malformed("The image has not the size that its attributes say.");
    if (!shown.getOutputData(picture.pixels.data(), static_cast<unsigned long>(picture.pixels.size()), 8, 0, 0))
        throw Failure{CCODECS_FAILED, "The image cannot be shown."};
    return picture;
}

}  // namespace ccodecs

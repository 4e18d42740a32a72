// SPDX-License-Identifier: Apache-2.0
// JPEG-LS by DCMTK.
#include "codecs.hpp"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dccodec.h>
#include <dcmtk/dcmdata/dcdatset.h>
#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcstack.h>

namespace ccodecs {

/// The cells go in as they are, with all bits allocated: so signed values and bits above Bits Stored survive.
Buffer encodeJPEGLS(Bytes frame, const ccodecs_image &in) {
    if (in.bits_allocated > 16 || (in.samples_per_pixel != 1 && in.samples_per_pixel != 3))
        unsupported("JPEG-LS is written for up to 16 bits allocated, and 1 or 3 samples per pixel.");
    DcmDataset dataset;
    dataset.putAndInsertUint16(DCM_Rows, in.rows);
    dataset.putAndInsertUint16(DCM_Columns, in.columns);
    dataset.putAndInsertUint16(DCM_SamplesPerPixel, in.samples_per_pixel);
    dataset.putAndInsertUint16(DCM_BitsAllocated, in.bits_allocated);
    dataset.putAndInsertUint16(DCM_BitsStored, in.bits_allocated);
    dataset.putAndInsertUint16(DCM_HighBit, static_cast<Uint16>(in.bits_allocated - 1));
    dataset.putAndInsertUint16(DCM_PixelRepresentation, in.pixel_representation);
    dataset.putAndInsertUint16(DCM_PlanarConfiguration, 0);
    dataset.putAndInsertString(DCM_PhotometricInterpretation, in.photometric);
    DcmPixelData element(DCM_PixelData);
    DcmStack stack;
    stack.push(&dataset);
    stack.push(&element);
    // A copy, for DCMTK wants whole words.
    Buffer words(frame.size + frame.size % 2);
    std::memcpy(words.data(), frame.data, frame.size);
    DcmPixelSequence *raw = nullptr;
    OFBool changed = OFFalse;
    OFCondition encoded = DcmCodecList::encode(
        EXS_LittleEndianExplicit, reinterpret_cast<const Uint16 *>(words.data()), static_cast<Uint32>(words.size()),
        EXS_JPEGLSLossless, nullptr, raw, stack, changed);
    std::unique_ptr<DcmPixelSequence> sequence(raw);
    if (encoded.bad() || !sequence)
        throw Failure{CCODECS_FAILED, std::string("The frame cannot be encoded as JPEG-LS: ") + encoded.text() + "."};
    Buffer result;
    for (unsigned long index = 1; index < sequence->card(); index++) {
        DcmPixelItem *fragment = nullptr;
        Uint8 *bytes = nullptr;
        if (sequence->getItem(fragment, index).bad() || fragment->getUint8Array(bytes).bad())
            throw Failure{CCODECS_FAILED, "The JPEG-LS encoder gave no bytes."};
        result.append(bytes, fragment->getLength());
    }
    return result;
}

}  // namespace ccodecs

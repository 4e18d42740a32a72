// SPDX-License-Identifier: Apache-2.0
#include "header.hpp"

#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcelem.h>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcsequen.h>

#include <cmath>

namespace ccodecs {

namespace {

DcmItem *item(DcmItem &parent, const DcmTagKey &sequence, uint32_t index) {
    DcmItem *found = nullptr;
    return parent.findAndGetSequenceItem(sequence, found, static_cast<signed long>(index)).good() ? found : nullptr;
}

/// The first value of a descriptor counts entries, the second may be signed (PS3.3 section C.11.1.1).
std::optional<Table> table(DcmItem *holder, bool isSigned) {
    DcmElement *descriptor = nullptr;
    if (holder == nullptr || holder->findAndGetElement(DCM_LUTDescriptor, descriptor).bad() || descriptor->getVM() != 3)
        return std::nullopt;
    int64_t numbers[3];
    for (unsigned long index = 0; index < 3; index++) {
        Uint16 word = 0;
        Sint16 signedWord = 0;
        if (descriptor->ident() == EVR_SS) {
            if (descriptor->getSint16(signedWord, index).bad()) return std::nullopt;
            word = static_cast<Uint16>(signedWord);
        } else if (descriptor->getUint16(word, index).bad()) {
            return std::nullopt;
        }
        bool isNegative = index == 1 && (isSigned || descriptor->ident() == EVR_SS) && word >= 0x8000;
        numbers[index] = isNegative ? int64_t(word) - 65536 : int64_t(word);
    }
    Table table;
    table.values = tableValues(*holder, DCM_LUTData, numbers[0] == 0 ? 65536 : size_t(numbers[0]));
    if (table.values.empty()) return std::nullopt;
    table.first = int32_t(numbers[1]);
    table.bits = numbers[2] >= 1 && numbers[2] <= 16 ? unsigned(numbers[2]) : 16;
    // Some writers name fewer bits than their entries have.
    for (uint16_t value : table.values)
        while (table.bits < 16 && value >> table.bits != 0) table.bits++;
    return table;
}

}  // namespace

double number(DcmItem &item, const DcmTagKey &tag, double otherwise, unsigned long index) {
    Float64 value = 0;
    Sint32 whole = 0;
    if (item.findAndGetFloat64(tag, value, index).good()) return std::isfinite(value) ? value : otherwise;
    // DCMTK gives Integer Strings as integers only.
    return item.findAndGetSint32(tag, whole, index).good() ? whole : otherwise;
}

std::vector<uint16_t> tableValues(DcmItem &item, const DcmTagKey &tag, size_t entries) {
    DcmElement *element = nullptr;
    if (item.findAndGetElement(tag, element).bad()) return {};
    size_t length = element->getLength();
    Uint16 *words = nullptr;
    Sint16 *signedWords = nullptr;
    Uint8 *bytes = nullptr;
    if (element->ident() == EVR_SS) {
        if (element->getSint16Array(signedWords).good()) words = reinterpret_cast<Uint16 *>(signedWords);
    } else if (element->getUint16Array(words).bad()) {
        words = nullptr;
        if (element->getUint8Array(bytes).bad()) return {};
    }
    const uint8_t *raw = words != nullptr ? reinterpret_cast<const uint8_t *>(words) : bytes;
    if (raw == nullptr || entries == 0) return {};
    std::vector<uint16_t> values(entries);
    if (length >= 2 * entries) {
        std::memcpy(values.data(), raw, 2 * entries);
    } else if (length >= entries) {
        for (size_t index = 0; index < entries; index++) values[index] = raw[index];
    } else {
        return {};
    }
    return values;
}

Header::Header(const uint8_t *bytes, size_t length, uint32_t frame)
    : frame(frame == 0 ? 1 : frame), dataset(std::make_unique<DcmDataset>()) {
    if (length == 0) return;
    DcmInputBufferStream stream;
    stream.setBuffer(bytes, static_cast<offile_off_t>(length));
    stream.setEos();
    dataset->transferInit();
    OFCondition read = dataset->read(stream, EXS_LittleEndianExplicit, EGL_noChange, DCM_MaxReadLength);
    dataset->transferEnd();
    if (read.bad()) malformed(std::string("The header cannot be read: ") + read.text() + ".");
}

/// What the frame's own functional group says, else the shared one, else the data set itself.
DcmItem &Header::group(const DcmTagKey &sequence) const {
    DcmItem *functional = item(*dataset, DCM_PerFrameFunctionalGroupsSequence, frame - 1);
    DcmItem *found = functional != nullptr ? item(*functional, sequence, 0) : nullptr;
    if (found == nullptr) {
        functional = item(*dataset, DCM_SharedFunctionalGroupsSequence, 0);
        found = functional != nullptr ? item(*functional, sequence, 0) : nullptr;
    }
    return found != nullptr ? *found : *dataset;
}

double Header::rescaleSlope() const {
    double slope = number(group(DCM_PixelValueTransformationSequence), DCM_RescaleSlope, 1);
    return slope == 0 ? 1 : slope;
}

double Header::rescaleIntercept() const {
    return number(group(DCM_PixelValueTransformationSequence), DCM_RescaleIntercept, 0);
}

std::optional<Table> Header::modalityTable(bool isSigned) const {
    return table(item(*dataset, DCM_ModalityLUTSequence, 0), isSigned);
}

std::optional<Window> Header::window() const {
    DcmItem &voi = group(DCM_FrameVOILUTSequence);
    double center = number(voi, DCM_WindowCenter, NAN), width = number(voi, DCM_WindowWidth, NAN);
    if (!std::isfinite(center) || !(width > 0)) return std::nullopt;
    OFString name;
    voi.findAndGetOFString(DCM_VOILUTFunction, name);
    ccodecs_window_function function = CCODECS_LINEAR;
    if (name == "SIGMOID") function = CCODECS_SIGMOID;
    // LINEAR is not defined below a width of 1, and used there nevertheless.
    if (name == "LINEAR_EXACT" || (function == CCODECS_LINEAR && width < 1)) function = CCODECS_LINEAR_EXACT;
    return Window{function, center, width};
}

std::optional<Table> Header::voiTable(bool isSigned) const {
    return table(item(group(DCM_FrameVOILUTSequence), DCM_VOILUTSequence, 0), isSigned);
}

double Header::pixelAspect() const {
    DcmItem &measures = group(DCM_PixelMeasuresSequence);
    struct Source {
        DcmItem &item;
        const DcmTagKey &tag;
    };
    const Source sources[] = {
        {*dataset, DCM_PixelAspectRatio}, {measures, DCM_PixelSpacing}, {*dataset, DCM_ImagerPixelSpacing},
        {*dataset, DCM_NominalScannedPixelSpacing}};
    for (const Source &source : sources) {
        double vertical = number(source.item, source.tag, 0, 0), horizontal = number(source.item, source.tag, 0, 1);
        if (!(vertical > 0 && horizontal > 0)) continue;
        double aspect = vertical / horizontal;
        // A deviation of a row in a thousand is rounding; beyond 20 it is an error.
        return std::fabs(aspect - 1) < 0.001 || aspect > 20 || aspect < 0.05 ? 1 : aspect;
    }
    return 1;
}

std::optional<std::pair<uint16_t, uint16_t>> Header::padding() const {
    auto cell = [this](const DcmTagKey &tag) -> std::optional<uint16_t> {
        DcmElement *element = nullptr;
        Uint16 word = 0;
        Sint16 signedWord = 0;
        if (dataset->findAndGetElement(tag, element).bad()) return std::nullopt;
        if (element->getUint16(word).good()) return word;
        if (element->getSint16(signedWord).good()) return static_cast<uint16_t>(signedWord);
        return std::nullopt;
    };
    auto value = cell(DCM_PixelPaddingValue);
    if (!value) return std::nullopt;
    return std::make_pair(*value, cell(DCM_PixelPaddingRangeLimit).value_or(*value));
}

}  // namespace ccodecs

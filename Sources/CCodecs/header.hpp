// SPDX-License-Identifier: Apache-2.0
// What the data set says about showing a frame, functional groups included (PS3.3 section C.7.6.16).
#pragma once

#include "common.hpp"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdatset.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ccodecs {

/// A lookup table (PS3.3 section C.11.1.1).
struct Table {
    std::vector<uint16_t> values;
    int32_t first = 0;
    unsigned bits = 16;

    uint16_t operator()(double input) const {
        if (!(input > first)) return values.front();
        size_t index = input - first >= double(values.size()) ? values.size() - 1 : size_t(input - first);
        return values[index];
    }
};

struct Window {
    ccodecs_window_function function;
    double center;
    double width;
};

class Header {
public:
    Header(const uint8_t *bytes, size_t length, uint32_t frame);

    double rescaleSlope() const;
    double rescaleIntercept() const;
    std::optional<Table> modalityTable(bool isSigned) const;
    /// The first window that can be used.
    std::optional<Window> window() const;
    std::optional<Table> voiTable(bool isSigned) const;
    /// Height of a pixel by its width.
    double pixelAspect() const;
    /// Pixel Padding Value and its range limit, as cells.
    std::optional<std::pair<uint16_t, uint16_t>> padding() const;

    /// The main data set; DCMTK's getters are not const.
    DcmItem &root() const { return *dataset; }
    const uint32_t frame;

private:
    DcmItem &group(const DcmTagKey &sequence) const;

    std::unique_ptr<DcmDataset> dataset;
};

/// The values of a table or palette: words, or bytes packed in words.
std::vector<uint16_t> tableValues(DcmItem &item, const DcmTagKey &tag, size_t entries);
double number(DcmItem &item, const DcmTagKey &tag, double otherwise, unsigned long index = 0);

}  // namespace ccodecs

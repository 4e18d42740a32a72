// SPDX-License-Identifier: Apache-2.0
#include "text.hpp"

#include "ccodecs.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdict.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <dcmtk/dcmjpls/djencode.h>
#include <dcmtk/oflog/oflog.h>

int32_t ccodecs_initialize(void) {
    try {
        // What DCMTK has to say would quote the image; the caller learns what it needs from the results.
        OFLog::configure(OFLogger::OFF_LOG_LEVEL);
        DJDecoderRegistration::registerCodecs(EDC_photometricInterpretation, EUC_never, EPC_colorByPixel);
        DJLSDecoderRegistration::registerCodecs(EJLSUC_never, EJLSPC_colorByPixel, OFTrue);
        DJLSEncoderRegistration::registerCodecs(0, 0, 0, 0, OFFalse, 0, OFFalse, EJLSUC_never);
        ccodecs::loadFont();
        return dcmDataDict.isDictionaryLoaded() ? 0 : 1;
    } catch (...) {
        return 1;
    }
}

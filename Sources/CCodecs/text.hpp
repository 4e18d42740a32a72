// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "picture.hpp"

namespace ccodecs {

/// Reads the font into memory, for the sandbox has no files.
void loadFont();

/// Draws the lines of UTF-8 text at the top left, white with a black outline.
void drawText(Picture &picture, const char *text);

}  // namespace ccodecs

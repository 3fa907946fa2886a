// Pictures as PNG files.
#pragma once

#include <string>

#include "massact/image/decode.h"

namespace massact {

/// A PNG file's bytes. Throws Error for an image without pixels.
std::string encode_png(const Image& image);

}  // namespace massact

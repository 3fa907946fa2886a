// Changing a picture's size as PIL does: antialiased, in 8-bit fixed point, so that results are the
// same bytes.
#pragma once

#include <string_view>

#include "massact/image/decode.h"

namespace massact {

/// The filters, by PIL's names.
enum class Filter { box, bilinear, hamming, bicubic, lanczos };

/// By PIL's number, as `resample` in preprocessor_config.json. Throws Error that names `where` for
/// others; nearest neighbour (0) is not offered.
Filter filter_of_number(std::int64_t number, std::string_view where);
/// By name ("bicubic"), as `interpolation` in timm's configurations.
Filter filter_of_name(std::string_view name, std::string_view where);

/// The picture at width × height pixels: PIL's `Image.resize((width, height), filter)` on RGB, to
/// the byte (Pillow up to 12; 13 sometimes does the columns first, which moves some values by 1).
/// Two passes, first along rows, each with weights of 22 fractional bits and rounded to 8 bits;
/// when a side shrinks, the filter is stretched by that factor (antialiasing). Sizes must be
/// positive. Thread-safe.
Image resize(const Image& image, std::int64_t width, std::int64_t height, Filter filter);

}  // namespace massact

// Internal to the room: one decoder per format. Each gives upright-or-not RGB and the Exif data it
// met; decode.cpp turns the picture.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "massact/image/decode.h"

namespace massact {

struct DecodedImage {
  Image image;
  std::vector<std::uint8_t> exif;  // a TIFF header and its directories; empty if there is none
};

/// What a decoder reads, and what it must not exceed.
struct EncodedImage {
  std::span<const std::byte> bytes;
  std::string where;
  std::int64_t max_pixels = kMaxImagePixels;

  const unsigned char* data() const { return reinterpret_cast<const unsigned char*>(bytes.data()); }
  /// Throws unless a header's size is positive and within the limit.
  void check_size(std::int64_t width, std::int64_t height) const;
};

DecodedImage decode_jpeg(const EncodedImage& input);
DecodedImage decode_png(const EncodedImage& input);
DecodedImage decode_webp(const EncodedImage& input);

/// The Exif orientation, 1 (upright) to 8; 1 for data that is damaged or says nothing.
int exif_orientation(std::span<const std::uint8_t> exif);

/// The picture as it is meant to be seen.
Image upright(Image image, int orientation);

}  // namespace massact

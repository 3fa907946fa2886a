// JPEG, PNG and WebP files as 8-bit RGB. The format is found by content, never by the file's name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace massact {

/// 8-bit RGB, rows from the top, three bytes a pixel, no padding.
struct Image {
  std::int64_t width = 0;   ///< pixels
  std::int64_t height = 0;  ///< pixels
  std::vector<std::uint8_t> rgb;

  Image() = default;
  /// Black.
  Image(std::int64_t width_, std::int64_t height_)
      : width(width_), height(height_), rgb(static_cast<std::size_t>(width_ * height_ * 3)) {}

  std::uint8_t* row(std::int64_t y) { return rgb.data() + y * width * 3; }
  const std::uint8_t* row(std::int64_t y) const { return rgb.data() + y * width * 3; }
};

enum class ImageFormat { jpeg, png, webp };

/// Refused above this many pixels by its header alone: 178,956,970, where PIL refuses too.
inline constexpr std::int64_t kMaxImagePixels = 178'956'970;

/// The format that the first bytes say (16 are enough), if it is one that is read.
std::optional<ImageFormat> image_format(std::span<const std::byte> bytes);

/// Decodes a whole file. Grey becomes RGB, palettes are resolved, CMYK and YCCK (with Adobe's
/// inversion) are converted as PIL's `convert("RGB")` does; an alpha channel is dropped, as there;
/// of 16 bits the higher 8 are kept. The Exif orientation is applied: `rgb` is upright. `where` is
/// what errors name. Thread-safe. Throws Error for anything that is no whole image of these
/// formats: unknown, empty, truncated, damaged, animated, or of more than `max_pixels` pixels
/// (found in the header, before any memory is taken).
Image decode_image(std::span<const std::byte> bytes, std::string_view where,
                   std::int64_t max_pixels = kMaxImagePixels);

/// The same for a file.
Image read_image(const std::filesystem::path& path, std::int64_t max_pixels = kMaxImagePixels);

}  // namespace massact

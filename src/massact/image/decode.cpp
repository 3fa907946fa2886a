#include "massact/image/decode.h"

#include <string_view>

#include "massact/base/error.h"
#include "massact/image/formats.h"
#include "massact/io/mapped_file.h"

namespace massact {

std::optional<ImageFormat> image_format(std::span<const std::byte> bytes) {
  using namespace std::string_view_literals;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("\xff\xd8\xff"sv)) return ImageFormat::jpeg;
  if (text.starts_with("\x89PNG\r\n\x1a\n"sv)) return ImageFormat::png;
  if (text.starts_with("RIFF"sv) && text.size() >= 12 && text.substr(8, 4) == "WEBP"sv) {
    return ImageFormat::webp;
  }
  return std::nullopt;
}

void EncodedImage::check_size(std::int64_t width, std::int64_t height) const {
  require(width > 0 && height > 0, where, "expected a positive size in the header, got {} x {}",
          width, height);
  // Both are below 2^32 in every format, so the product fits.
  require(width <= max_pixels / height, where,
          "expected at most {} pixels, got a header of {} x {} pixels", max_pixels, width, height);
}

Image decode_image(std::span<const std::byte> bytes, std::string_view where,
                   std::int64_t max_pixels) {
  const std::optional<ImageFormat> format = image_format(bytes);
  require(format.has_value(), where, "expected a JPEG, PNG or WebP image, got {}",
          bytes.empty() ? "an empty file" : "another kind of file");
  const EncodedImage input = {bytes, std::string(where), max_pixels};
  DecodedImage decoded;
  switch (*format) {
    case ImageFormat::jpeg:
      decoded = decode_jpeg(input);
      break;
    case ImageFormat::png:
      decoded = decode_png(input);
      break;
    case ImageFormat::webp:
      decoded = decode_webp(input);
      break;
  }
  return upright(std::move(decoded.image), exif_orientation(decoded.exif));
}

Image read_image(const std::filesystem::path& path, std::int64_t max_pixels) {
  const auto file = MappedFile::open(path);
  return decode_image(file->bytes(), path.string(), max_pixels);
}

}  // namespace massact

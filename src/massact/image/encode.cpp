#include "massact/image/encode.h"

#include <png.h>

#include "massact/base/error.h"

namespace massact {

std::string encode_png(const Image& image) {
  require(image.width > 0 && image.height > 0, "png", "expected a picture, got {} x {} pixels",
          image.width, image.height);
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = PNG_FORMAT_RGB;
  std::string file(PNG_IMAGE_PNG_SIZE_MAX(header), '\0');
  png_alloc_size_t size = file.size();
  const int written =
      png_image_write_to_memory(&header, file.data(), &size, 0, image.rgb.data(), 0, nullptr);
  require(written != 0, "png", "could not be encoded: {}", header.message);
  file.resize(size);
  return file;
}

}  // namespace massact

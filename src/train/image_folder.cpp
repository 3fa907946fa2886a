#include "train/image_folder.h"

#include <png.h>

#include <string_view>
#include <system_error>
#include <vector>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/io/atomic_file.h"

namespace massact::train {
namespace {

namespace fs = std::filesystem;

void create_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  require(!error, path.string(), "expected a folder to write, got: {}", error.message());
}

/// Square RGB pixels as a PNG file's bytes.
std::vector<char> encode_png(const std::vector<std::uint8_t>& pixels, std::int64_t size) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = png.height = static_cast<png_uint_32>(size);
  png.format = PNG_FORMAT_RGB;
  std::vector<char> bytes(PNG_IMAGE_PNG_SIZE_MAX(png));
  png_alloc_size_t used = bytes.size();
  require(png_image_write_to_memory(&png, bytes.data(), &used, 0, pixels.data(), 0, nullptr) != 0,
          "libpng", "expected to encode an image, got: {}", png.message);
  bytes.resize(used);
  return bytes;
}

}  // namespace

void write_image_folder(const ImageFolderOptions& options,
                        const std::function<void(const std::string&)>& log) {
  if (options.count < 1) fail_usage("--count", "expected at least 1, got {}", options.count);
  if (options.first < 0 || options.first > kHeldOutImages - options.count) {
    fail_usage("--first", "expected images below {}, got {} to {}", kHeldOutImages, options.first,
               options.first + options.count);
  }
  draw_image(options.seed, options.first, options.size);  // before OUT is made: the size is checked
  create_folder(options.out);
  require(fs::is_empty(options.out), options.out.string(), "expected an empty folder to write");
  // All classes, so that readers that number the folders agree, whatever is drawn.
  for (const auto& label : procedural_labels()) create_folder(options.out / label);
  for (std::int64_t i = 0; i < options.count; ++i) {
    check_interrupted();
    const std::int64_t number = options.first + i;
    const auto image = draw_image(options.seed, number, options.size);
    const auto& label = procedural_labels()[static_cast<std::size_t>(image.label)];
    const auto png = encode_png(image.pixels, options.size);
    write_file_atomically(options.out / label / fmt::format("{:06d}.png", number),
                          std::string_view(png.data(), png.size()));
  }
  log(fmt::format("{} images of {} classes in {}", options.count, procedural_labels().size(),
                  options.out.string()));
}

}  // namespace massact::train

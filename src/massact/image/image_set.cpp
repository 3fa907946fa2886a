#include "massact/image/image_set.h"

#include <algorithm>

#include "massact/base/error.h"
#include "massact/io/mapped_file.h"

namespace massact {
namespace {

// Decoding in portions: enough to keep all threads busy, few enough to stop soon after max_images.
constexpr std::int64_t kPortion = 256;

// Why an image cannot be used; empty if it can.
std::string defect(const std::filesystem::path& path, const Preprocess& preprocess,
                   std::vector<float>& pixels) {
  try {
    preprocess_image(read_image(path), preprocess, pixels);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

void check_start(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  require(image_format(file->bytes()).has_value(), path.string(),
          "expected a JPEG, PNG or WebP image, got another kind of file");
}

}  // namespace

ImageFiles::ImageFiles(ImageList list, Preprocess preprocess, ImageFilesOptions options,
                       Threads& threads)
    : list_(std::move(list)), preprocess_(std::move(preprocess)) {
  require(options.max_images > 0, "images", "expected at least one image, got {}",
          options.max_images);
  const std::int64_t listed = count();
  if (!options.skip_bad) {
    const std::int64_t kept = std::min(listed, options.max_images);
    list_.entries.resize(static_cast<std::size_t>(kept));
    for (const ImageEntry& image : list_.entries) check_start(image.path);
    return;
  }
  const PixelSize size = preprocess_.output();
  std::vector<std::vector<float>> scratch(
      static_cast<std::size_t>(threads.count()),
      std::vector<float>(static_cast<std::size_t>(3 * size.height * size.width)));
  std::vector<ImageEntry> good;
  std::vector<std::string> defects(kPortion);
  for (std::int64_t first = 0; first < listed; first += kPortion) {
    const std::int64_t portion = std::min(kPortion, listed - first);
    threads.parallel_for(portion, [&](std::int64_t i, int worker) {
      defects[static_cast<std::size_t>(i)] =
          defect(entry(first + i).path, preprocess_, scratch[static_cast<std::size_t>(worker)]);
    });
    for (std::int64_t i = 0; i < portion; ++i) {
      if (static_cast<std::int64_t>(good.size()) == options.max_images) break;
      std::string& reason = defects[static_cast<std::size_t>(i)];
      if (reason.empty()) {
        good.push_back(entry(first + i));
      } else {
        skipped_.push_back({entry(first + i).path, std::move(reason)});
      }
    }
    if (static_cast<std::int64_t>(good.size()) == options.max_images) break;
  }
  if (good.empty()) {
    fail("images", "expected an image that can be read, got {} broken ones: {}", skipped_.size(),
         skipped_.front().reason);
  }
  list_.entries = std::move(good);
}

std::shared_ptr<const ImageFiles> ImageFiles::subset(std::span<const std::int64_t> indices) const {
  ImageList chosen;
  chosen.classes = list_.classes;
  for (const std::int64_t index : indices) chosen.entries.push_back(entry(index));
  return std::shared_ptr<const ImageFiles>(new ImageFiles(std::move(chosen), preprocess_));
}

void ImageFiles::read(std::int64_t index, std::span<float> pixels) const {
  const ImageEntry& image = entry(index);
  try {
    preprocess_image(read_image(image.path), preprocess_, pixels);
  } catch (const Error& error) {
    // What is wrong after decoding does not know the file yet.
    if (error.where() == image.path.string()) throw;
    fail(image.path.string(), "{}", error.what());
  }
}

}  // namespace massact

#include "massact/image/image_set.h"

#include <algorithm>
#include <numeric>

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

// Which images to try one after the other. Classes of a labelled list may lie one behind the other:
// there the `wanted` first ones are spread over all of it.
std::vector<std::int64_t> reading_order(std::int64_t listed, std::int64_t wanted, bool labelled) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(listed));
  std::iota(order.begin(), order.end(), 0);
  if (!labelled || wanted >= listed) return order;
  // Index i is one of them if i * wanted / listed steps up there.
  std::stable_partition(order.begin(), order.end(), [&](std::int64_t i) {
    return i == 0 || i * wanted / listed != (i - 1) * wanted / listed;
  });
  return order;
}

}  // namespace

ImageFiles::ImageFiles(ImageList list, Preprocess preprocess, ImageFilesOptions options,
                       Threads& threads)
    : list_(std::move(list)), preprocess_(std::move(preprocess)) {
  require(options.max_images > 0, "images", "expected at least one image, got {}",
          options.max_images);
  const std::int64_t listed = count();
  const std::vector<std::int64_t> order =
      reading_order(listed, options.max_images, list_.labelled());
  std::vector<std::int64_t> good;
  if (options.skip_bad) {
    good = readable(order, options.max_images, threads);
  } else {
    good.assign(order.begin(), order.begin() + std::min(listed, options.max_images));
    for (const std::int64_t index : good) check_start(entry(index).path);
  }
  if (good.empty()) {
    fail("images", "expected an image that can be read, got {} broken ones: {}", skipped_.size(),
         skipped_.front().reason);
  }
  std::sort(good.begin(), good.end());
  std::vector<ImageEntry> entries;
  for (const std::int64_t index : good) entries.push_back(entry(index));
  list_.entries = std::move(entries);
}

std::vector<std::int64_t> ImageFiles::readable(std::span<const std::int64_t> order,
                                               std::int64_t wanted, Threads& threads) {
  const PixelSize size = preprocess_.output();
  std::vector<std::vector<float>> scratch(
      static_cast<std::size_t>(threads.count()),
      std::vector<float>(static_cast<std::size_t>(3 * size.height * size.width)));
  std::vector<std::int64_t> good;
  std::vector<std::string> defects(kPortion);
  for (std::int64_t first = 0; first < std::ssize(order); first += kPortion) {
    const auto portion =
        order.subspan(static_cast<std::size_t>(first))
            .first(static_cast<std::size_t>(std::min(kPortion, std::ssize(order) - first)));
    threads.parallel_for(std::ssize(portion), [&](std::int64_t i, int worker) {
      const auto at = static_cast<std::size_t>(i);
      defects[at] =
          defect(entry(portion[at]).path, preprocess_, scratch[static_cast<std::size_t>(worker)]);
    });
    for (std::size_t i = 0; i < portion.size(); ++i) {
      if (std::ssize(good) == wanted) return good;
      if (defects[i].empty()) {
        good.push_back(portion[i]);
      } else {
        skipped_.push_back({entry(portion[i]).path, std::move(defects[i])});
      }
    }
  }
  return good;
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

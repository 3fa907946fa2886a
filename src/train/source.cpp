#include "train/source.h"

#include <algorithm>
#include <numeric>

#include "massact/base/error.h"
#include "massact/base/units.h"
#include "massact/edit/random.h"
#include "train/hf_config.h"
#include "train/procedural.h"

namespace massact::train {
namespace {

constexpr std::int64_t kFingerprintImages = 16;

class TextSource final : public Source {
 public:
  TextSource(const std::filesystem::path& dir, const ModelConfig& model, const TrainConfig& train)
      : data_(dir), length_(model.context), seed_(train.seed), bos_(train.bos) {
    data_.require_length(length_);
  }

  ModelConfig fitted(ModelConfig config) const override {
    config.vocab = data_.vocab_size();
    return config;
  }
  Batch train_batch(std::int64_t first, std::int64_t count) const override {
    return data_.train_batch(seed_, first, count, length_, bos_);
  }
  Batch val_batch(std::int64_t first, std::int64_t count) const override {
    return data_.val_batch(first, count, length_, bos_);
  }
  std::string fingerprint() const override { return data_.fingerprint(); }
  std::string unit() const override { return "tokens"; }
  std::int64_t units() const override { return length_; }
  std::string size() const override {
    return format_count(static_cast<std::uint64_t>(data_.train_tokens())) + " training tokens";
  }
  int bos_id() const override { return static_cast<int>(data_.bos_id()); }
  std::vector<std::filesystem::path> files() const override { return data_.tokenizer_files(); }

 private:
  Dataset data_;
  std::int64_t length_;
  std::uint64_t seed_;
  bool bos_;
};

class ProceduralSource final : public Source {
 public:
  ProceduralSource(const ModelConfig& model, const TrainConfig& train)
      : size_(model.image_size), seed_(train.seed) {}

  ModelConfig fitted(ModelConfig config) const override {
    config.labels = procedural_labels();
    config.vocab = std::ssize(config.labels);
    return config;
  }
  Batch train_batch(std::int64_t first, std::int64_t count) const override {
    return draw(seed_, kHeldOutImages + first, count);
  }
  Batch val_batch(std::int64_t first, std::int64_t count) const override {
    return draw(kHeldOutSeed, first, std::clamp<std::int64_t>(kHeldOutImages - first, 0, count));
  }
  /// Changes when the drawing does: a hash of the first held-out images.
  std::string fingerprint() const override {
    std::uint64_t hash = 0;
    for (std::int64_t number = 0; number < kFingerprintImages; ++number) {
      for (const auto value : draw_image(kHeldOutSeed, number, size_).pixels) {
        hash = edit::mix(hash, value);
      }
    }
    return fmt::format("{} {:016x}", kProceduralData, hash);
  }
  std::string unit() const override { return "images"; }
  std::int64_t units() const override { return 1; }
  std::string size() const override { return "images drawn while training"; }

 private:
  Batch draw(std::uint64_t seed, std::int64_t first, std::int64_t count) const {
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), first);
    return draw_batch(seed, numbers, size_);
  }

  std::int64_t size_;
  std::uint64_t seed_;
};

}  // namespace

std::unique_ptr<Source> open_source(const std::filesystem::path& data, const ModelConfig& model,
                                    const TrainConfig& train) {
  const bool procedural = data == kProceduralData;
  if (procedural != (model.architecture == Architecture::vit)) {
    fail_usage("--data", "expected {} for {}, got {}",
               procedural ? "a folder written by prepare" : kProceduralData,
               to_string(model.architecture), data.string());
  }
  if (procedural) return std::make_unique<ProceduralSource>(model, train);
  return std::make_unique<TextSource>(data, model, train);
}

Batch draw_batch(std::uint64_t seed, const std::vector<std::int64_t>& numbers, std::int64_t size) {
  const auto count = std::ssize(numbers);
  const at::Tensor bytes = at::empty({count, size, size, 3}, at::kByte);
  const at::Tensor labels = at::empty({count}, at::kLong);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto image = draw_image(seed, numbers[static_cast<std::size_t>(i)], size);
    std::copy(image.pixels.begin(), image.pixels.end(),
              bytes.data_ptr<std::uint8_t>() + i * size * size * 3);
    labels.data_ptr<std::int64_t>()[i] = image.label;
  }
  const at::Tensor pixels = bytes.permute({0, 3, 1, 2}).to(at::kFloat).contiguous();
  return {(pixels / 255.0 - kPixelMean) / kPixelStd, labels};
}

}  // namespace massact::train

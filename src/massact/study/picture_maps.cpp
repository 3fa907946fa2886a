#include "massact/study/picture_maps.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace massact {
namespace {

/// Maps of attention have T x T numbers per head while they are computed.
constexpr std::int64_t kMostTokens = 1100;

// By block and sequence: a number per token.
using TokenValues = std::map<std::pair<int, std::int64_t>, std::vector<float>>;

class NormsByToken final : public Observer {
 public:
  void observe(const SiteView& view, Threads& /*threads*/) override {
    std::vector<float>& norms = values_[{view.site.block, view.sequence}];
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      double energy = 0;
      for (std::int64_t i = 0; i < view.values.cols; ++i) {
        energy += std::pow(static_cast<double>(view.values(r, i)), 2);
      }
      norms.push_back(static_cast<float>(std::sqrt(energy)));
    }
  }
  const TokenValues& values() const { return values_; }

 private:
  TokenValues values_;
};

// What one query gives to each key, or what all give on average; mean over heads.
class TokenAttention final : public Observer {
 public:
  /// `query` < 0: the mean over queries.
  TokenAttention(std::int64_t query, const ModelConfig& config)
      : query_(query), heads_(config.heads), slots_(config.has_slot() ? 1 : 0) {}

  void observe(const SiteView& view, Threads& /*threads*/) override {
    const std::int64_t keys = view.values.cols - slots_;
    std::vector<float>& sums = values_[{view.site.block, view.sequence}];
    sums.resize(static_cast<std::size_t>(keys));
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      if (query_ >= 0 && view.first_position + r != query_) continue;
      const float share =
          1.0f / static_cast<float>(query_ >= 0 ? heads_ : heads_ * std::ssize(view.tokens));
      for (std::int64_t j = 0; j < keys; ++j) {
        sums[static_cast<std::size_t>(j)] += share * view.values(r, slots_ + j);
      }
    }
  }
  const TokenValues& values() const { return values_; }

 private:
  std::int64_t query_, heads_, slots_;
  TokenValues values_;
};

// The model's pixels as a picture again.
Image picture_of(const ImageFiles& images, std::int64_t index) {
  const Preprocess& steps = images.preprocess();
  Image image(images.width(), images.height());
  const std::int64_t plane = image.width * image.height;
  std::vector<float> pixels(static_cast<std::size_t>(3 * plane));
  images.read(index, pixels);
  for (std::int64_t p = 0; p < plane; ++p) {
    for (std::size_t c = 0; c < 3; ++c) {
      const auto value = static_cast<double>(
          pixels[c * static_cast<std::size_t>(plane) + static_cast<std::size_t>(p)]);
      const double shown = (value * steps.std[c] + steps.mean[c]) / steps.rescale;
      image.rgb[static_cast<std::size_t>(3 * p) + c] =
          static_cast<std::uint8_t>(std::lround(std::clamp(shown, 0.0, 255.0)));
    }
  }
  return image;
}

// Less the rows before the picture's own tokens (the sink token's).
std::vector<float> tokens_of(const TokenValues& values, int block, std::int64_t sequence,
                             std::int64_t prefix) {
  const auto found = values.find({block, sequence});
  if (found == values.end()) return {};
  return {found->second.begin() + prefix, found->second.end()};
}

}  // namespace

PictureMaps map_pictures(const Model& model, std::shared_ptr<const ImageFiles> images,
                         const RunOptions& options, Progress& progress) {
  const ModelConfig& config = model.config();
  Plan plan(model, images);
  const auto& norms = plan.observe(sites::resid_post(config), NormsByToken{});

  PictureMaps maps;
  maps.grid = config.vision.grid_of(images->height(), images->width());
  maps.class_tokens = config.vision.class_tokens;
  maps.registers = config.vision.registers;
  maps.of_class_token = maps.class_tokens > 0;
  const TokenAttention* attention = nullptr;
  if (plan.lengths().front() <= kMostTokens) {
    std::vector<Site> patterns;
    for (int block = 0; block < config.layers; ++block) {
      patterns.push_back({SiteKind::pattern, block});
    }
    const std::int64_t query = maps.of_class_token ? config.prefix_rows() : -1;
    attention = &plan.observe(patterns, TokenAttention(query, config));
  }
  maps.facts = scan_facts(plan, run(plan, options, progress));

  for (std::int64_t i = 0; i < images->count(); ++i) {
    Picture& picture = maps.pictures.emplace_back();
    picture.file = images->name(i);
    picture.image = picture_of(*images, i);
    for (int block = 0; block < config.layers; ++block) {
      PictureLayer& layer = picture.layers.emplace_back();
      layer.layer = block + 1;
      layer.norms = tokens_of(norms.values(), block, i, config.prefix_rows());
      if (attention != nullptr) {
        layer.attention = tokens_of(attention->values(), block, i, config.prefix_rows());
      }
    }
  }
  return maps;
}

}  // namespace massact

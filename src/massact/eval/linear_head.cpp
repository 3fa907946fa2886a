#include "massact/eval/linear_head.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "massact/base/error.h"
#include "massact/io/safetensors.h"
#include "massact/io/torch_checkpoint.h"
#include "massact/model/norm_layer.h"

namespace massact::eval {
namespace {

constexpr std::int64_t kMaxClasses = 1 << 22;

// The class token of each of `layers` layers, then the mean of the last layer's patches.
class TokensReader final : public ClassReader {
 public:
  TokensReader(std::shared_ptr<const LinearLayer> layer, std::int64_t layers, const Model& model)
      : layer_(std::move(layer)), layers_(layers), model_(model) {
    if (layers_ > 1) norm_ = NormWeights::read(model_.weights(), "ln_final");
  }

  bool add(const SiteView& view, Threads& threads) override {
    if (view.site.kind == SiteKind::resid_post) {
      append_normalised(view.values.row(config().prefix_rows()), of(view), threads);
      return false;
    }
    if (view.first_position == 0) patches_.assign(static_cast<std::size_t>(config().width), 0.0);
    for (std::int64_t r = 0; r < view.values.rows; ++r) add_row(view, r);
    const std::int64_t rows = std::ssize(view.tokens);
    if (view.first_position + view.values.rows < rows) return false;
    finish(view, rows - config().vision.leading_tokens(), threads);
    return true;
  }
  std::span<const float> logits() const override { return logits_; }

 private:
  using Row = std::vector<float>;

  const ModelConfig& config() const { return model_.config(); }
  // What is known of the view's image: layers before the last one are shown for many images first.
  Row& of(const SiteView& view) { return features_[view.sequence]; }

  void append_normalised(const float* token, Row& features, Threads& threads) {
    Row row(token, token + config().width);
    const FloatMatrix matrix(row.data(), 1, config().width);
    if (config().final_norm) {
      ops::norm(matrix, norm_.options(config()), {.out = matrix}, threads);
    }
    features.insert(features.end(), row.begin(), row.end());
  }

  void add_row(const SiteView& view, std::int64_t r) {
    const std::int64_t position = view.first_position + r;
    const float* row = view.values.row(r);
    if (position == 0) of(view).insert(of(view).end(), row, row + view.values.cols);
    if (position < config().vision.leading_tokens()) return;
    for (std::int64_t c = 0; c < view.values.cols; ++c) {
      patches_[static_cast<std::size_t>(c)] += static_cast<double>(row[c]);
    }
  }

  void finish(const SiteView& view, std::int64_t patches, Threads& threads) {
    Row& features = of(view);
    for (const double sum : patches_) {
      features.push_back(static_cast<float>(sum / static_cast<double>(patches)));
    }
    layer_->apply(features, logits_, threads);
    features_.erase(view.sequence);
  }

  std::shared_ptr<const LinearLayer> layer_;
  std::int64_t layers_;
  Model model_;
  NormWeights norm_;
  std::unordered_map<std::int64_t, Row> features_;  // by image, until it is complete
  std::vector<double> patches_;
  Row logits_;
};

class LinearHead final : public Classifier {
 public:
  LinearHead(LinearLayer layer, const ModelConfig& config)
      : layer_(std::make_shared<const LinearLayer>(std::move(layer))),
        blocks_(static_cast<int>(config.layers)),
        layers_(layer_->inputs / config.width - 1) {}

  std::int64_t classes() const override { return layer_->outputs; }
  std::vector<Site> sites() const override {
    std::vector<Site> sites;
    for (auto block = blocks_ - static_cast<int>(layers_); block < blocks_ - 1; ++block) {
      sites.push_back({SiteKind::resid_post, block});
    }
    sites.push_back({SiteKind::ln_final_out, -1});
    return sites;
  }
  std::unique_ptr<ClassReader> reader(const Model& model) const override {
    return std::make_unique<TokensReader>(layer_, layers_, model);
  }

 private:
  std::shared_ptr<const LinearLayer> layer_;
  int blocks_;
  std::int64_t layers_;
};

std::unique_ptr<WeightSource> open_file(const std::filesystem::path& path) {
  require(std::filesystem::exists(path), path.string(),
          "expected a linear classifier's file, found no such file");
  if (path.extension() == ".safetensors") return open_safetensors(path);
  return std::move(open_torch_checkpoint(path).weights);
}

std::vector<float> floats(const WeightSource& source, const char* name) {
  std::vector<float> values(static_cast<std::size_t>(source.info(name).shape.element_count(name)));
  source.read(name, 0, std::ssize(values), values.data());
  return values;
}

}  // namespace

std::shared_ptr<const Classifier> read_linear_head(const std::filesystem::path& path,
                                                   const ModelConfig& config) {
  const std::string where = path.string();
  require(config.is_vision() && config.vision.class_tokens > 0, where,
          "expected a vision model with a class token for this head, got one without");
  const auto source = open_file(path);
  const TensorInfo* weight = source->find("weight");
  const TensorInfo* bias = source->find("bias");
  require(weight != nullptr && bias != nullptr, where,
          "expected a linear layer's tensors `weight` and `bias`, found {} tensors without them",
          source->tensors().size());
  const std::int64_t d = config.width;
  require(weight->shape.rank() == 2 && bias->shape.rank() == 1 &&
              weight->shape[0] == bias->shape[0] && weight->shape[0] >= 2 &&
              weight->shape[0] <= kMaxClasses,
          where, "expected weight [classes, inputs] and bias [classes], got {} and {}",
          weight->shape.to_string(), bias->shape.to_string());
  const std::int64_t inputs = weight->shape[1];
  require(inputs == 2 * d || inputs == 5 * d, where,
          "expected {} inputs (class token and mean of the patches) or {} (class tokens of four "
          "layers and mean of the patches) for a model of width {}, got {}",
          2 * d, 5 * d, d, inputs);
  require(inputs == 2 * d || config.layers >= 4, where,
          "expected a model of at least 4 layers for {} inputs, got {}", inputs, config.layers);
  LinearLayer layer{inputs, weight->shape[0], floats(*source, "weight"), floats(*source, "bias")};
  for (const auto& [name, values] : {std::pair{"weight", &layer.weight}, {"bias", &layer.bias}}) {
    require(std::all_of(values->begin(), values->end(), [](float x) { return std::isfinite(x); }),
            where, "expected finite numbers, got others in `{}`", name);
  }
  return std::make_shared<const LinearHead>(std::move(layer), config);
}

}  // namespace massact::eval

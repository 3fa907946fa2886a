#include "massact/eval/zero_shot.h"

#include <cmath>

#include "massact/base/error.h"
#include "massact/text/tower_text.h"

namespace massact::eval {
namespace {

namespace fs = std::filesystem;

// The factor that makes a vector's length 1; 0 for a vector of zeros, which has no direction.
template <typename T>
double factor_of(std::span<const T> values) {
  double squares = 0;
  for (const T value : values) squares += static_cast<double>(value) * static_cast<double>(value);
  return squares > 0 ? 1.0 / std::sqrt(squares) : 0.0;
}

// The same for texts, which must have one.
template <typename T>
double inverse_length(std::span<const T> values) {
  const double factor = factor_of(values);
  require(factor > 0, "zero-shot", "expected a vector with a direction, got zeros");
  return factor;
}

// Turns texts into what a tower reads.
class Prompts {
 public:
  Prompts(const Model& tower, const fs::path& tokenizer)
      : tokenizer_(tower.tokenizer()), length_(tower.config().max_positions) {
    if (tower.config().head.pooling != Pooling::last_token) return;
    const fs::path& place = tokenizer.empty() ? tower.path() : tokenizer;
    siglip_ = SiglipText::read(fs::is_directory(place) ? place : place.parent_path(), tokenizer_);
  }
  std::vector<std::int32_t> ids(std::string_view text) const {
    return siglip_ ? siglip_ids(tokenizer_, *siglip_, text, length_)
                   : clip_ids(tokenizer_, text, length_);
  }

 private:
  const Tokenizer& tokenizer_;
  std::int64_t length_;
  std::optional<SiglipText> siglip_;
};

// Every template with every class's name, class by class.
std::vector<Plan::Tokens> all_prompts(const Model& tower, const ZeroShotOptions& options) {
  const Prompts prompts(tower, options.tokenizer);
  std::vector<Plan::Tokens> texts;
  for (const ClassName& name : options.classes) {
    require(!name.names.empty(), name.synset,
            "expected a name that a text can say, got a WordNet id alone (ImageNet's "
            "LOC_synset_mapping.txt has both)");
    for (const std::string& form : options.templates) {
      texts.push_back(prompts.ids(fill_template(form, name.prompt_name())));
    }
  }
  return texts;
}

// Sums the directions of each class's texts.
class DirectionSums final : public Observer {
 public:
  DirectionSums(std::int64_t classes, std::int64_t per_class)
      : sums_(static_cast<std::size_t>(classes)), per_class_(per_class) {}

  void observe(const SiteView& view, Threads&) override {
    auto& sum = sums_[static_cast<std::size_t>(view.sequence / per_class_)];
    sum.resize(static_cast<std::size_t>(view.values.cols));
    const std::span<const float> vector(view.values.row(0), sum.size());
    const double factor = inverse_length(vector);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += factor * static_cast<double>(vector[i]);
  }
  const std::vector<std::vector<double>>& sums() const { return sums_; }

 private:
  std::vector<std::vector<double>> sums_;
  std::int64_t per_class_;
};

// The embedding's direction, against each class's.
class ZeroShotReader final : public ClassReader {
 public:
  explicit ZeroShotReader(std::shared_ptr<const LinearLayer> layer) : layer_(std::move(layer)) {}

  bool add(const SiteView& view, Threads& threads) override {
    const std::span<const float> embedding(view.values.row(0),
                                           static_cast<std::size_t>(view.values.cols));
    const double factor = factor_of(embedding);  // an edit may have cleared it: cosine 0
    direction_.resize(embedding.size());
    for (std::size_t i = 0; i < embedding.size(); ++i) {
      direction_[i] = static_cast<float>(factor * static_cast<double>(embedding[i]));
    }
    layer_->apply(direction_, logits_, threads);
    return true;
  }
  std::span<const float> logits() const override { return logits_; }

 private:
  std::shared_ptr<const LinearLayer> layer_;
  std::vector<float> direction_, logits_;
};

class ZeroShot final : public Classifier {
 public:
  explicit ZeroShot(LinearLayer layer)
      : layer_(std::make_shared<const LinearLayer>(std::move(layer))) {}
  std::int64_t classes() const override { return layer_->outputs; }
  std::vector<Site> sites() const override { return {{SiteKind::logits, -1}}; }
  std::unique_ptr<ClassReader> reader(const Model& model) const override {
    const ModelConfig& config = model.config();
    require(config.head.kind == HeadKind::embedding && config.logit_count() == layer_->inputs,
            model.name(), "expected vectors of {} values to compare with texts", layer_->inputs);
    return std::make_unique<ZeroShotReader>(layer_);
  }

 private:
  std::shared_ptr<const LinearLayer> layer_;
};

}  // namespace

std::vector<std::int32_t> prompt_ids(const Model& text_tower, const fs::path& tokenizer,
                                     std::string_view text) {
  return Prompts(text_tower, tokenizer).ids(text);
}

ClassVectors class_vectors(const Model& image_tower, const ZeroShotOptions& options,
                           Progress& progress) {
  require(!options.classes.empty() && !options.templates.empty(), "zero-shot",
          "expected class names and templates, got none");
  const Model tower =
      open_text_tower(image_tower.path(), {.tokenizer = options.tokenizer, .adapter = {}});
  Plan plan(tower, all_prompts(tower, options));
  const auto classes = std::ssize(options.classes);
  const DirectionSums& sums =
      plan.observe({{SiteKind::logits, -1}}, DirectionSums(classes, std::ssize(options.templates)));
  run(plan, options.run, progress);
  ClassVectors result{classes, tower.config().logit_count(), {}, similarity_scale(image_tower)};
  for (const auto& sum : sums.sums()) {
    const double factor = inverse_length(std::span<const double>(sum));
    for (const double value : sum) result.values.push_back(static_cast<float>(factor * value));
  }
  return result;
}

std::shared_ptr<const Classifier> zero_shot_classifier(const ClassVectors& vectors) {
  LinearLayer layer{vectors.width, vectors.classes, vectors.values, {}};
  for (float& value : layer.weight) value *= vectors.similarity.scale;
  layer.bias.assign(static_cast<std::size_t>(vectors.classes), vectors.similarity.bias);
  return std::make_shared<const ZeroShot>(std::move(layer));
}

}  // namespace massact::eval

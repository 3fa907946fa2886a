#include "massact/eval/image_board.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "massact/base/error.h"
#include "massact/model/pooling.h"

namespace massact::eval {
namespace {

constexpr std::int64_t kFirstFive = 5;

// How many classes are more likely than `label`.
std::int64_t rank_of(std::int64_t label, std::span<const float> logits) {
  const float own = logits[static_cast<std::size_t>(label)];
  std::int64_t rank = 0;
  for (std::int64_t c = 0; c < std::ssize(logits); ++c) {
    const float other = logits[static_cast<std::size_t>(c)];
    rank += other > own || (other == own && c < label);
  }
  return rank;
}

// log Σ exp(x).
double log_sum_exp(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - largest);
  return largest + std::log(sum);
}

// The original's prediction of the image that all streams are being shown.
struct PredictionReference {
  std::vector<float> logits;
  double log_sum = 0;
  std::int64_t best = 0;
  std::int64_t sequence = -1;
};

// Watches the sites of a classifier in one stream.
class Predictions final : public Observer {
 public:
  Predictions(std::unique_ptr<ClassReader> reader,
              std::shared_ptr<const std::vector<std::int64_t>> labels,
              std::shared_ptr<PredictionReference> original, std::shared_ptr<ImageScores> scores,
              bool is_original)
      : reader_(std::move(reader)),
        labels_(std::move(labels)),
        original_(std::move(original)),
        scores_(std::move(scores)),
        is_original_(is_original) {}

  void observe(const SiteView& view, Threads& threads) override {
    if (!reader_->add(view, threads)) return;
    const std::span<const float> logits = reader_->logits();
    const double log_sum = log_sum_exp(logits);
    require(std::isfinite(log_sum), "predictions", "expected finite logits of image {}, got others",
            view.sequence);
    if (!labels_->empty()) {
      const std::int64_t rank =
          rank_of((*labels_)[static_cast<std::size_t>(view.sequence)], logits);
      scores_->top1.push_back(rank == 0 ? 1 : 0);
      scores_->top5.push_back(rank < kFirstFive ? 1 : 0);
    }
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    if (is_original_) {
      *original_ = {{logits.begin(), logits.end()}, log_sum, best, view.sequence};
    } else {
      compare(logits, log_sum, best, view.sequence);
    }
  }

 private:
  // Σ p · (log p − log q), in a form that is exactly 0 for the original's own logits.
  void compare(std::span<const float> logits, double log_sum, std::int64_t best,
               std::int64_t sequence) {
    require(original_->sequence == sequence, "predictions",
            "expected the original's prediction of the same image first");
    double change = 0;
    for (std::size_t c = 0; c < logits.size(); ++c) {
      const double x = original_->logits[c];
      change += std::exp(x - original_->log_sum) * (x - static_cast<double>(logits[c]));
    }
    WindowScores& score = scores_->predictions.emplace_back();
    score.divergences.push_back(change - (original_->log_sum - log_sum));
    score.agreements = best == original_->best ? 1 : 0;
  }

  std::unique_ptr<ClassReader> reader_;
  std::shared_ptr<const std::vector<std::int64_t>> labels_;
  std::shared_ptr<PredictionReference> original_;
  std::shared_ptr<ImageScores> scores_;
  bool is_original_;
};

// What the streams share: how features are read, and the original's of the image that all of them
// are being shown.
struct FeatureReference {
  explicit FeatureReference(Model model_) : model(std::move(model_)) {}

  Model model;
  std::optional<Pooler> pooler;  // made when the first image arrives
  std::vector<double> features;
  std::int64_t sequence = -1;
};

double cosine(const std::vector<double>& a, const std::vector<double>& b) {
  double product = 0, squares_a = 0, squares_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += a[i] * b[i];
    squares_a += a[i] * a[i];
    squares_b += b[i] * b[i];
  }
  const double lengths = std::sqrt(squares_a) * std::sqrt(squares_b);
  return lengths > 0 ? product / lengths : 0.0;
}

// Watches the site that `feature_site` names.
class Features final : public Observer {
 public:
  Features(std::shared_ptr<FeatureReference> original, std::shared_ptr<ImageScores> scores,
           bool is_original)
      : original_(std::move(original)), scores_(std::move(scores)), is_original_(is_original) {}

  void observe(const SiteView& view, Threads& threads) override {
    if (!add(view, threads)) return;
    if (is_original_) {
      original_->features = features_;
      original_->sequence = view.sequence;
      return;
    }
    require(original_->sequence == view.sequence, "features",
            "expected the original's features of the same image first");
    scores_->cosines.push_back(cosine(features_, original_->features));
  }

 private:
  // Heads that pool see an image in one piece; else the pieces are summed. True with the last one.
  bool add(const SiteView& view, Threads& threads) {
    if (view.site.kind == SiteKind::logits) {
      features_.clear();  // a row, or one of each patch
      for (std::int64_t r = 0; r < view.values.rows; ++r) {
        features_.insert(features_.end(), view.values.row(r),
                         view.values.row(r) + view.values.cols);
      }
      return true;
    }
    if (original_->model.config().head.pools()) {
      auto& pooler = original_->pooler;
      if (!pooler) pooler.emplace(original_->model, ops::Precision::f32, threads);
      const std::vector<float> row = pooler->pool(view.values, view.tokens, threads);
      features_.assign(row.begin(), row.end());
      return true;
    }
    if (rows_ == 0) features_.assign(static_cast<std::size_t>(view.values.cols), 0.0);
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      for (std::int64_t c = 0; c < view.values.cols; ++c) {
        features_[static_cast<std::size_t>(c)] += view.values(r, c);
      }
    }
    rows_ += view.values.rows;
    if (rows_ < std::ssize(view.tokens)) return false;
    rows_ = 0;  // a sum points where the mean does
    return true;
  }

  std::shared_ptr<FeatureReference> original_;
  std::shared_ptr<ImageScores> scores_;
  bool is_original_;
  std::vector<double> features_;
  std::int64_t rows_ = 0;
};

// An embedding is the features; a classifier hides them, one step before. One that pools first and
// normalises then (timm's fc_norm) has no such site: there its logits are compared.
Site feature_site(const ModelConfig& config) {
  const bool embedding =
      config.head.kind == HeadKind::embedding || config.head.kind == HeadKind::features;
  return {embedding || !config.final_norm ? SiteKind::logits : SiteKind::ln_final_out, -1};
}

Losses each(const std::vector<double>& values) {
  return {values, std::vector<double>(values.size(), 1.0)};
}

}  // namespace

ImageMeasures image_measures_of(const ImageScores& scores, const ImageScores* original) {
  ImageMeasures measures;
  if (!scores.top1.empty()) {
    measures.top1 = mean_of(each(scores.top1));
    measures.top5 = mean_of(each(scores.top5));
    if (original != nullptr) {
      measures.top1_change = paired_difference(each(scores.top1), each(original->top1));
      measures.top5_change = paired_difference(each(scores.top5), each(original->top5));
    }
  }
  if (original != nullptr && !scores.cosines.empty()) {
    measures.cosine = mean_of(each(scores.cosines));
    measures.least_cosine = *std::min_element(scores.cosines.begin(), scores.cosines.end());
  }
  return measures;
}

std::uint64_t image_score_bytes(std::int64_t images) {
  // Lists grow by doubling: three numbers, and a list of one divergence.
  constexpr std::size_t kImage = 2 * (3 * sizeof(double) + sizeof(WindowScores)) + 32;
  return static_cast<std::uint64_t>(images) * kImage;
}

ImageBoard ImageBoard::attach(Plan& plan, const std::vector<std::int64_t>& labels,
                              const std::shared_ptr<const Classifier>& classifier) {
  const Model& model = plan.model();
  const std::int64_t classes = classifier ? classifier->classes() : 0;
  for (const std::int64_t label : labels) {
    require(label >= 0 && label < classes, model.name(), "expected labels from 0 to {}, got {}",
            classes - 1, label);
  }
  ImageBoard board;
  const auto given = std::make_shared<const std::vector<std::int64_t>>(labels);
  const auto features = std::make_shared<FeatureReference>(model);
  const auto prediction = std::make_shared<PredictionReference>();
  for (int stream = 0; stream < static_cast<int>(plan.streams().size()); ++stream) {
    const auto scores = board.scores_.emplace_back(std::make_shared<ImageScores>());
    plan.observe({feature_site(model.config())}, Features(features, scores, stream == 0), stream);
    if (!classifier) continue;
    plan.observe(classifier->sites(),
                 Predictions(classifier->reader(model), given, prediction, scores, stream == 0),
                 stream);
  }
  return board;
}

std::optional<Divergence> ImageBoard::divergence(int stream) const {
  const StreamScores& predictions = of(stream).predictions;
  if (predictions.empty()) return std::nullopt;
  return divergence_of(predictions);
}

}  // namespace massact::eval

// Watches a vision model's head and features in the original and in its edited variants, in one
// pass: is the right class among the first, how far are predictions and features from the
// original's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "massact/eval/classifier.h"
#include "massact/eval/perplexity.h"
#include "massact/run/plan.h"

namespace massact::eval {

/// What one stream says about all images.
struct ImageScores {
  /// By labelled image, in order: 1 if its class is the most likely one (among the five most likely
  /// ones), else 0. Of equal logits the lower class comes first.
  std::vector<double> top1, top5;
  /// Of variants, by image: KL(original ‖ variant) in nats of the classifier's softmax, and whether
  /// both choose the same class.
  StreamScores predictions;
  /// Of variants, by image: cosine of the features with the original's.
  std::vector<double> cosines;
};

/// Image measures of one stream. Errors are over images; changes against the original are paired.
struct ImageMeasures {
  std::optional<Estimate> top1, top5;  ///< shares, if there are labels and a classifier
  std::optional<Estimate> top1_change, top5_change;
  std::optional<Estimate> cosine;  ///< variants only
  double least_cosine = 1.0;
};

/// `original` null: the scores are the original's own.
ImageMeasures image_measures_of(const ImageScores& scores, const ImageScores* original);

/// Bytes that an ImageBoard keeps of each stream.
std::uint64_t image_score_bytes(std::int64_t images);

/// Attached to every stream of a plan; read it after the run. Features are a model's embedding,
/// else what its classifier reads (model/pooling.h), else the mean of all tokens behind the last
/// norm.
class ImageBoard {
 public:
  /// Watches all streams that `plan` has by now. `classifier`: null for none; classes are scored,
  /// and divergences taken, only with one. `labels`: by image, a class of it (empty: no labels).
  static ImageBoard attach(Plan& plan, const std::vector<std::int64_t>& labels,
                           const std::shared_ptr<const Classifier>& classifier);

  /// By stream (0: the original).
  const ImageScores& of(int stream) const { return *scores_.at(static_cast<std::size_t>(stream)); }
  /// KL from the original's prediction and agreement with it; none for the original and without a
  /// classifier.
  std::optional<Divergence> divergence(int stream) const;

 private:
  std::vector<std::shared_ptr<ImageScores>> scores_;
};

}  // namespace massact::eval

// Classifiers of images: the one in the checkpoint, and those that are put on top of what a model
// shows (eval/zero_shot.h, eval/linear_head.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "massact/run/plan.h"

namespace massact::eval {

/// Makes the class logits of one image after the other, of one stream.
class ClassReader {
 public:
  virtual ~ClassReader() = default;
  /// Takes what a site of the classifier shows, in the order that Observer promises. True if that
  /// was the last piece of an image.
  virtual bool add(const SiteView& view, Threads& threads) = 0;
  /// Of the image that was completed last: [classes]. Valid until the next `add`.
  virtual std::span<const float> logits() const = 0;
};

/// Immutable; thread-safe.
class Classifier {
 public:
  virtual ~Classifier() = default;
  virtual std::int64_t classes() const = 0;
  /// Where it reads; an image is complete at the last of them, a final site.
  virtual std::vector<Site> sites() const = 0;
  /// A reader for a stream of `model`, which may be one with edited weights.
  virtual std::unique_ptr<ClassReader> reader(const Model& model) const = 0;
};

/// The classifier in the checkpoint; null if there is none.
std::shared_ptr<const Classifier> own_classifier(const Model& model);

/// A linear layer from features to class logits.
struct LinearLayer {
  std::int64_t inputs = 0, outputs = 0;
  std::vector<float> weight;  ///< [outputs, inputs]
  std::vector<float> bias;    ///< [outputs]

  /// logits [outputs] = weight · features [inputs] + bias, summed in double.
  void apply(std::span<const float> features, std::vector<float>& logits, Threads& threads) const;
};

}  // namespace massact::eval

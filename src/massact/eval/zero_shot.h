// Zero-shot classification with two towers (CLIP, arXiv 2103.00020, section 3.1; SigLIP, arXiv
// 2303.15343): a class is the mean direction of the texts that name it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "massact/eval/classifier.h"
#include "massact/run/executor.h"
#include "massact/text/prompts.h"

namespace massact::eval {

/// A direction for every class, and how images are compared with them.
struct ClassVectors {
  std::int64_t classes = 0, width = 0;
  std::vector<float> values;  ///< [classes, width], each of length 1
  SimilarityScale similarity;
};

struct ZeroShotOptions {
  std::vector<ClassName> classes;
  std::vector<std::string> templates = {std::string(kDefaultTemplate)};
  std::filesystem::path tokenizer;  ///< file or directory; empty: beside the model
  RunOptions run;
};

/// Ids of a text as the tower reads it (text/tower_text.h); `tokenizer` as in ZeroShotOptions.
std::vector<std::int32_t> prompt_ids(const Model& text_tower,
                                     const std::filesystem::path& tokenizer, std::string_view text);

/// Runs the text tower of the model `image_tower` is of over every template filled with every
/// class's name, averages the normalised vectors of a class, normalises again. The text tower is
/// gone when this returns. Throws Error if the model has no text tower, no tokenizer is found, or a
/// class has no name but its WordNet id.
ClassVectors class_vectors(const Model& image_tower, const ZeroShotOptions& options,
                           Progress& progress);

/// logit = scale · cos(image, class) + bias, HF's logits_per_image. Softmax over the classes is
/// CLIP's own distribution. SigLIP was trained with a sigmoid for every pair; softmax over the same
/// logits orders classes alike, is a distribution over classes that exclude each other, and makes
/// divergences comparable with other models'; the bias drops out of it.
std::shared_ptr<const Classifier> zero_shot_classifier(const ClassVectors& vectors);

}  // namespace massact::eval

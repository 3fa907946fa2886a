// What predicts an image's class: the checkpoint's own classifier, a linear one from a file, or the
// text tower with the names of classes; and which of its classes the images' labels mean.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "massact/eval/classifier.h"
#include "massact/image/image_set.h"
#include "massact/run/executor.h"

namespace massact {

/// What the user says of classes. Paths may be empty.
struct ClassifierRequest {
  /// The classes in the classifier's order (text/prompts.h): what a text tower is asked for, else
  /// what labels may say.
  std::filesystem::path class_names;
  std::filesystem::path templates;  ///< of a text tower's prompts; empty: kDefaultTemplate
  std::filesystem::path head;       ///< a linear classifier's file (eval/linear_head.h)
  std::filesystem::path tokenizer;  ///< of the text tower; empty: beside the model
  RunOptions run;                   ///< of the text tower
};

struct ImageClassifier {
  std::shared_ptr<const eval::Classifier> classifier;  ///< null: none
  std::vector<std::int64_t> labels;  ///< its class of every image; empty: without labels
  std::string description;           ///< "zero-shot, 3 templates"; empty: none, or the checkpoint's
  std::vector<std::string> warnings;  ///< labels that went by their order, names given twice
};

/// Chooses the classifier: the request's head, else the checkpoint's, else zero-shot if there are
/// class names. Labels are matched first, so that what is wrong with them shows at once; then the
/// text tower runs, and is released. Throws UsageError for names, templates or a head that the
/// model has no use for.
ImageClassifier image_classifier(const Model& model, const ImageFiles& images,
                                 const ClassifierRequest& request, Progress& progress);

}  // namespace massact

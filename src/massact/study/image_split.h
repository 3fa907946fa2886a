// Images that means are estimated on and images that everything is tested on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "massact/image/image_set.h"
#include "massact/study/image_classifier.h"

namespace massact {

/// Where means and measures come from.
struct Split {
  std::string calibration;  ///< "the first fifth of …", a file's name
  std::string evaluation;
  std::int64_t calibration_windows = 0;
  std::int64_t calibration_tokens = 0;
  /// Windows (of calibration_windows) that the evaluation text holds as well.
  std::int64_t overlap = 0;
};

/// Images that calibrate and images that are evaluated.
struct ImageSplit {
  std::shared_ptr<const ImageFiles> calibration;
  std::shared_ptr<const ImageFiles> evaluation;
  std::vector<std::int64_t> labels;  ///< of `evaluation`, as the classifier's; empty: none
  /// What predicts classes; null: nothing. `classifier_name`: if it is not the checkpoint's own.
  std::shared_ptr<const eval::Classifier> classifier;
  std::string classifier_name;
  std::vector<std::string> warnings;  ///< of how labels were understood
  Split split;                        ///< windows are images
  bool unused_labels = false;         ///< the images have labels that nothing predicts
  std::int64_t passed_over = 0;       ///< files in the folders that are no images
  std::vector<SkippedImage> skipped;  ///< broken ones, under --skip-bad
};

/// Every fifth image, from the first on, calibrates (so that all classes of a sorted list take
/// part), the rest is evaluated, by `classifier` (study/image_classifier.h), which has the labels
/// of all images. Throws Error for fewer than two.
ImageSplit split_images(const std::shared_ptr<const ImageFiles>& images,
                        const ImageClassifier& classifier);

/// `calibration` calibrates, all of `images` is evaluated; files that are in both are counted in
/// `overlap`.
ImageSplit split_images(const std::shared_ptr<const ImageFiles>& images,
                        const ImageClassifier& classifier,
                        const std::shared_ptr<const ImageFiles>& calibration);

}  // namespace massact

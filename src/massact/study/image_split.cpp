#include "massact/study/image_split.h"

#include <fmt/format.h>

#include <set>

#include "massact/base/error.h"
#include "massact/base/units.h"

namespace massact {
namespace {

constexpr std::int64_t kCalibrationStep = 5;

// What both ways of splitting take over.
void take_classifier(const ImageFiles& images, const ImageClassifier& classifier,
                     ImageSplit& split) {
  split.classifier = classifier.classifier;
  split.classifier_name = classifier.description;
  split.warnings = classifier.warnings;
  split.unused_labels = classifier.labels.empty() && images.list().labelled();
}

// What the listing said of the files that are not in either part.
void tell_left_out(const ImageFiles& images, ImageSplit& split) {
  split.passed_over += images.list().passed_over;
  split.skipped.insert(split.skipped.end(), images.skipped().begin(), images.skipped().end());
}

}  // namespace

ImageSplit split_images(const std::shared_ptr<const ImageFiles>& images,
                        const ImageClassifier& classifier) {
  const std::int64_t count = images->count();
  require(count >= 2, images->name(0),
          "expected at least two images, one to calibrate on and one to evaluate, got {} (or give "
          "--calibration)",
          count);
  std::vector<std::int64_t> calibration, evaluation;
  ImageSplit result;
  for (std::int64_t i = 0; i < count; ++i) {
    const bool calibrates = i % kCalibrationStep == 0;
    (calibrates ? calibration : evaluation).push_back(i);
    if (!calibrates && !classifier.labels.empty()) {
      result.labels.push_back(classifier.labels[static_cast<std::size_t>(i)]);
    }
  }
  result.calibration = images->subset(calibration);
  result.evaluation = images->subset(evaluation);
  result.split.calibration =
      fmt::format("every fifth of {}, {} in all", counted(count, "image"), calibration.size());
  result.split.evaluation = fmt::format("the other {}", evaluation.size());
  result.split.calibration_windows = std::ssize(calibration);
  take_classifier(*images, classifier, result);
  tell_left_out(*images, result);
  return result;
}

ImageSplit split_images(const std::shared_ptr<const ImageFiles>& images,
                        const ImageClassifier& classifier,
                        const std::shared_ptr<const ImageFiles>& calibration) {
  std::set<std::string> evaluated;
  for (std::int64_t i = 0; i < images->count(); ++i) evaluated.insert(images->name(i));
  ImageSplit result;
  result.calibration = calibration;
  result.evaluation = images;
  result.labels = classifier.labels;
  for (std::int64_t i = 0; i < calibration->count(); ++i) {
    result.split.overlap += evaluated.contains(calibration->name(i));
  }
  result.split.calibration = counted(calibration->count(), "image") + " of --calibration";
  result.split.evaluation = fmt::format("all {}", images->count());
  result.split.calibration_windows = calibration->count();
  take_classifier(*images, classifier, result);
  tell_left_out(*images, result);
  tell_left_out(*calibration, result);
  return result;
}

}  // namespace massact

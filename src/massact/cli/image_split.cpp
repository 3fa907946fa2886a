#include "massact/cli/image_split.h"

namespace massact {

ImageSplit read_image_split(const Model& model, const ImageSplitFlags& flags, Progress& progress) {
  const int threads = flags.run.threads;
  const auto images = flags.images.read(model, threads);
  const ImageClassifier classifier = image_classifier(model, *images,
                                                      {.class_names = flags.images.class_names,
                                                       .templates = flags.images.templates,
                                                       .head = flags.images.head,
                                                       .tokenizer = flags.tokenizer,
                                                       .run = flags.run},
                                                      progress);
  if (flags.calibration.empty()) return split_images(images, classifier);
  return split_images(images, classifier, flags.images.read(model, {flags.calibration}, threads));
}

}  // namespace massact

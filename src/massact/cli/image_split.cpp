#include "massact/cli/image_split.h"

#include "massact/study/head_labels.h"

namespace massact {

ImageSplit read_image_split(const Model& model, const ImageFlags& flags,
                            const std::string& calibration, int threads) {
  const auto images = flags.read(model, threads);
  const std::vector<std::int64_t> labels = head_labels(model, *images);
  if (calibration.empty()) return split_images(images, labels);
  return split_images(images, labels, flags.read(model, {calibration}, threads));
}

}  // namespace massact

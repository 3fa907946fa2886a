// Test helpers: images from files, and the logits that a classifier makes of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "massact/eval/classifier.h"
#include "massact/image/image_set.h"
#include "massact/io/safetensors.h"
#include "parity/collect.h"

namespace massact::testing_support {

/// Keeps a classifier's logits, one image behind the other.
class ClassLogits final : public Observer {
 public:
  explicit ClassLogits(std::unique_ptr<eval::ClassReader> reader) : reader_(std::move(reader)) {}
  void observe(const SiteView& view, Threads& threads) override {
    if (!reader_->add(view, threads)) return;
    values.insert(values.end(), reader_->logits().begin(), reader_->logits().end());
  }
  std::vector<float> values;

 private:
  std::unique_ptr<eval::ClassReader> reader_;
};

/// The images of a folder or list as the model in `folder` wants them.
inline std::shared_ptr<const ImageFiles> image_files(const std::filesystem::path& folder,
                                                     const std::filesystem::path& images) {
  Threads threads(2);
  const std::vector<std::filesystem::path> paths = {images};
  return std::make_shared<const ImageFiles>(list_images(paths), read_preprocess(folder),
                                            ImageFilesOptions{}, threads);
}

/// A golden tensor's values.
inline std::vector<float> floats_of(const WeightSource& golden, const std::string& name) {
  const Tensor tensor = to_float_tensor(golden.view(name));
  return {tensor.floats().begin(), tensor.floats().end()};
}

}  // namespace massact::testing_support

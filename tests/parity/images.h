// Test helper: images that are there as pixels.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "massact/image/pixel_source.h"
#include "massact/tensor/tensor.h"

namespace massact::testing_support {

/// Tensors [channels, height, width] of one size.
class GoldenImages final : public PixelSource {
 public:
  explicit GoldenImages(std::vector<Tensor> images) : images_(std::move(images)) {}
  std::int64_t count() const override { return std::ssize(images_); }
  std::int64_t channels() const override { return images_.front().shape()[0]; }
  std::int64_t height() const override { return images_.front().shape()[1]; }
  std::int64_t width() const override { return images_.front().shape()[2]; }
  void read(std::int64_t index, std::span<float> pixels) const override {
    const auto values = images_.at(static_cast<std::size_t>(index)).floats();
    ASSERT_EQ(values.size(), pixels.size());
    std::copy(values.begin(), values.end(), pixels.begin());
  }
  std::string name(std::int64_t index) const override { return "image " + std::to_string(index); }

 private:
  std::vector<Tensor> images_;
};

}  // namespace massact::testing_support

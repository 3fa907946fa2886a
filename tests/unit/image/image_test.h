// Helpers of the image tests: goldens from PIL and from HF's image processors.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "massact/image/decode.h"
#include "massact/io/safetensors.h"
#include "paths.h"
#include "unit/io/io_test.h"

namespace massact::image_test {

inline std::filesystem::path images_folder() { return testing_support::golden_folder() / "images"; }

/// A picture of a golden file: [height, width, 3] bytes.
inline Image golden_image(const WeightSource& source, const std::string& name) {
  const TensorView view = source.view(name);
  Image image(view.shape[1], view.shape[0]);
  std::memcpy(image.rgb.data(), view.data, view.byte_count());
  return image;
}

inline int difference(std::uint8_t a, std::uint8_t b) { return a > b ? a - b : b - a; }

/// The largest difference between two pictures of one size.
inline int largest_difference(const Image& a, const Image& b) {
  int largest = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) {
    largest = std::max(largest, difference(a.rgb[i], b.rgb.at(i)));
  }
  return largest;
}

}  // namespace massact::image_test

// From a decoded picture to what a vision model reads: resize, crop, scale, normalise, pad, as the
// model's own configuration says.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "massact/image/decode.h"
#include "massact/image/resample.h"

namespace massact {

struct PixelSize {
  std::int64_t height = 0;
  std::int64_t width = 0;
  bool operator==(const PixelSize&) const = default;
};

/// The steps between a picture and a model, in this order. Sizes are in pixels.
struct Preprocess {
  enum class Resize {
    none,
    exact,          ///< to `resize_to`, whatever the aspect ratio
    shortest_edge,  ///< the shorter side to `resize_to.height`, the longer one rounded down
    cover,          ///< timm: keep the ratio, cover `resize_to`
    fit,            ///< timm: keep the ratio, fit into `resize_to`
    longest_edge,   ///< SAM: the longer side to `resize_to.height`, the other rounded to nearest
  };
  /// Where the middle is when a border is odd: Python's // (HF) or round to even (torchvision).
  enum class Center { floor, half_even };

  Resize resize = Resize::exact;
  PixelSize resize_to = {224, 224};
  Filter filter = Filter::bicubic;
  /// Cut (or filled up, with `fill`) to this around the middle; 0 x 0: not at all.
  PixelSize crop = {};
  Center center = Center::floor;
  std::array<std::uint8_t, 3> fill = {0, 0, 0};
  double rescale = 1.0 / 255;  ///< of the 8-bit values
  std::array<double, 3> mean = {0, 0, 0};
  std::array<double, 3> std = {1, 1, 1};
  /// Zeros on the right and below, after normalising; 0 x 0: none.
  PixelSize pad = {};
  /// The file it was read from, or whose published way it is.
  std::string source;

  /// The size of what comes out: always the same.
  PixelSize output() const;
};

/// Reads what a model's folder says: HF's preprocessor_config.json or processor_config.json, timm's
/// config.json (`pretrained_cfg`) or open_clip_config.json. Fields that are missing get the
/// defaults of HF's class of image processor. Throws Error if there is none of these files, a field
/// is wrong, or the outputs would have different sizes.
Preprocess read_preprocess(const std::filesystem::path& model_folder);
/// The same, but nothing if there is none of these files.
std::optional<Preprocess> find_preprocess(const std::filesystem::path& model_folder);

/// OpenAI's for CLIP models of images of `side` pixels: the shorter side to that, the middle,
/// CLIP's mean and standard deviation.
Preprocess clip_preprocess(std::int64_t side);
/// Meta's for testing DINOv2: the shorter side to 256 pixels, the middle 224, ImageNet's mean and
/// standard deviation.
Preprocess dinov2_preprocess();

/// Fills pixels [3, height, width] (`preprocess.output()`). Thread-safe.
void preprocess_image(const Image& image, const Preprocess& preprocess, std::span<float> pixels);

}  // namespace massact

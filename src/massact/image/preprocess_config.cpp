// Reading image processors' configurations: HF's, timm's, OpenCLIP's.
#include <algorithm>
#include <cmath>
#include <vector>

#include "massact/base/error.h"
#include "massact/image/preprocess.h"
#include "massact/io/json.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxBytes = 16 << 20;
constexpr std::int64_t kMaxSide = 16'384;

constexpr std::array<double, 3> kImagenetMean = {0.485, 0.456, 0.406};
constexpr std::array<double, 3> kImagenetStd = {0.229, 0.224, 0.225};
constexpr std::array<double, 3> kHalf = {0.5, 0.5, 0.5};
constexpr std::array<double, 3> kClipMean = {0.48145466, 0.4578275, 0.40821073};
constexpr std::array<double, 3> kClipStd = {0.26862954, 0.26130258, 0.27577711};

using Resize = Preprocess::Resize;

// What a class of HF's has where the file says nothing.
struct Defaults {
  std::string_view class_name;  // the class's name begins so
  Resize int_size;              // what a bare number as `size` means
  std::int64_t size;
  std::int64_t crop;  // 0: none
  std::int64_t pad;
  Filter filter;
  std::array<double, 3> mean;
  std::array<double, 3> std;
};

constexpr std::array<Defaults, 8> kDefaults = {{
    {"CLIP", Resize::shortest_edge, 224, 224, 0, Filter::bicubic, kClipMean, kClipStd},
    {"Bit", Resize::shortest_edge, 224, 224, 0, Filter::bicubic, kClipMean, kClipStd},
    {"Siglip", Resize::exact, 224, 0, 0, Filter::bicubic, kHalf, kHalf},
    {"DeiT", Resize::exact, 256, 224, 0, Filter::bicubic, kHalf, kHalf},
    {"DINOv3", Resize::exact, 224, 0, 0, Filter::bilinear, kImagenetMean, kImagenetStd},
    {"Sam", Resize::longest_edge, 1024, 0, 1024, Filter::bilinear, kImagenetMean, kImagenetStd},
    {"ViT", Resize::exact, 224, 0, 0, Filter::bilinear, kHalf, kHalf},
    {"", Resize::exact, 224, 0, 0, Filter::bilinear, kHalf, kHalf},
}};

std::int64_t side_at(const JsonObject& object, std::string_view name) {
  const auto side = object.get<std::int64_t>(name);
  require(side > 0 && side <= kMaxSide, object.where(name), "expected 1 to {} pixels, got {}",
          kMaxSide, side);
  return side;
}

// A number, or {"height", "width"}, or {"shortest_edge"}.
PixelSize size_at(const JsonObject& object, std::string_view name) {
  if (!object.find(name)->is_object()) {
    const std::int64_t side = side_at(object, name);
    return {side, side};
  }
  const JsonObject size = object.object(name);
  if (size.has("shortest_edge")) {
    const std::int64_t side = side_at(size, "shortest_edge");
    return {side, side};
  }
  return {side_at(size, "height"), side_at(size, "width")};
}

std::array<double, 3> three_at(const JsonObject& object, std::string_view name,
                               const std::array<double, 3>& otherwise) {
  if (!object.has(name)) return otherwise;
  if (object.find(name)->is_number()) {
    const auto value = object.get<double>(name);
    return {value, value, value};
  }
  const auto values = object.get<std::vector<double>>(name);
  require(values.size() == 3, object.where(name), "expected 3 numbers (red, green, blue), got {}",
          values.size());
  return {values[0], values[1], values[2]};
}

void read_mean_and_std(const JsonObject& object, std::string_view mean, std::string_view std,
                       Preprocess& p) {
  p.mean = three_at(object, mean, p.mean);
  p.std = three_at(object, std, p.std);
  for (const double value : p.std) {
    require(std::isfinite(value) && value > 0, object.where(std),
            "expected numbers above 0, got {}", value);
  }
}

const Defaults& defaults_of(const JsonObject& config) {
  std::string name = config.get_or<std::string>("image_processor_type", "");
  if (name.empty()) name = config.get_or<std::string>("feature_extractor_type", "");
  return *std::find_if(kDefaults.begin(), kDefaults.end(), [&](const Defaults& defaults) {
    return name.starts_with(defaults.class_name);
  });
}

void read_resize(const JsonObject& config, const Defaults& defaults, Preprocess& p) {
  p.resize = defaults.int_size;
  p.resize_to = {defaults.size, defaults.size};
  if (!config.get_or("do_resize", true)) {
    p.resize = Resize::none;
    return;
  }
  const auto number = config.has("resample") ? config.get<std::int64_t>("resample") : -1;
  p.filter = number < 0 ? defaults.filter : filter_of_number(number, config.where("resample"));
  if (!config.has("size")) return;
  if (!config.find("size")->is_object()) {
    p.resize_to = size_at(config, "size");
    return;
  }
  const JsonObject size = config.object("size");
  if (size.has("longest_edge")) {
    require(!size.has("shortest_edge"), config.where("size"),
            "expected either shortest_edge or longest_edge, got both");
    p.resize = Resize::longest_edge;
    p.resize_to = {side_at(size, "longest_edge"), side_at(size, "longest_edge")};
    return;
  }
  p.resize = size.has("shortest_edge") ? Resize::shortest_edge : Resize::exact;
  p.resize_to = size_at(config, "size");
}

// Every image must come out at one size.
void check_output(const Preprocess& p, std::string_view where) {
  const bool one_size = p.resize == Resize::exact || p.crop != PixelSize{} || p.pad != PixelSize{};
  require(one_size, where,
          "expected images of one size, got a configuration without an exact size, a crop or "
          "padding");
  require(p.resize != Resize::longest_edge || p.pad == PixelSize{} || p.crop != PixelSize{} ||
              (p.resize_to.height <= p.pad.height && p.resize_to.width <= p.pad.width),
          where, "expected padding to at least the resized {} pixels, got {} x {}",
          p.resize_to.height, p.pad.height, p.pad.width);
}

Preprocess read_hf(const JsonObject& config) {
  const Defaults& defaults = defaults_of(config);
  Preprocess p;
  read_resize(config, defaults, p);
  if (config.get_or("do_center_crop", defaults.crop > 0)) {
    p.crop = config.has("crop_size") ? size_at(config, "crop_size")
                                     : PixelSize{defaults.crop, defaults.crop};
    if (p.crop == PixelSize{}) p.crop = p.resize_to;
  }
  if (config.get_or("do_pad", defaults.pad > 0)) {
    p.pad = config.has("pad_size") ? size_at(config, "pad_size")
                                   : PixelSize{defaults.pad, defaults.pad};
  }
  p.rescale = config.get_or("do_rescale", true) ? config.get_or("rescale_factor", 1.0 / 255) : 1.0;
  if (config.get_or("do_normalize", true)) {
    p.mean = defaults.mean;
    p.std = defaults.std;
    read_mean_and_std(config, "image_mean", "image_std", p);
  }
  return p;
}

PixelSize timm_input_size(const JsonObject& config) {
  if (!config.has("input_size")) return {224, 224};
  const auto size = config.get<std::vector<std::int64_t>>("input_size");
  const auto fits = [](std::int64_t side) { return side > 0 && side <= kMaxSide; };
  require(size.size() == 3 && size[0] == 3 && fits(size[1]) && fits(size[2]),
          config.where("input_size"), "expected [3, height, width] of at most {} pixels a side",
          kMaxSide);
  return {size[1], size[2]};
}

Preprocess read_timm(const JsonObject& config) {
  Preprocess p;
  p.crop = timm_input_size(config);
  p.center = Preprocess::Center::half_even;
  p.filter = filter_of_name(config.get_or<std::string>("interpolation", "bicubic"),
                            config.where("interpolation"));
  p.mean = kImagenetMean;
  p.std = kImagenetStd;
  read_mean_and_std(config, "mean", "std", p);

  const auto part = config.get_or("crop_pct", 0.875);
  require(part > 0.05 && part <= 2, config.where("crop_pct"), "expected 0.05 to 2, got {}", part);
  const auto scaled = [&](std::int64_t side) {
    return std::max<std::int64_t>(
        1, static_cast<std::int64_t>(std::floor(static_cast<double>(side) / part)));
  };
  p.resize_to = {scaled(p.crop.height), scaled(p.crop.width)};
  const auto mode = config.get_or<std::string>("crop_mode", "center");
  if (mode == "squash") {
    p.resize = Resize::exact;
  } else if (mode == "border") {
    p.resize = Resize::fit;
    for (std::size_t c = 0; c < 3; ++c) {
      p.fill[c] = static_cast<std::uint8_t>(std::clamp(std::nearbyint(255 * p.mean[c]), 0., 255.));
    }
  } else {
    require(mode == "center", config.where("crop_mode"),
            "expected center, squash or border, got \"{}\"", mode);
    const bool square = p.resize_to.height == p.resize_to.width;
    p.resize = square ? Resize::shortest_edge : Resize::cover;
  }
  return p;
}

// The shorter side to `side` and the middle of `crop` pixels, as torchvision does both.
Preprocess torchvision_crop(std::int64_t side, std::int64_t crop) {
  Preprocess p;
  p.resize_to = {side, side};
  p.crop = {crop, crop};
  p.center = Preprocess::Center::half_even;
  p.resize = Resize::shortest_edge;
  return p;
}

// OpenCLIP: the picture's size is the model's, and the whole of the shorter side is kept.
Preprocess read_open_clip(const JsonObject& config) {
  const JsonObject vision = config.object("model_cfg").object("vision_cfg");
  Preprocess p = clip_preprocess(vision.has("image_size") ? side_at(vision, "image_size") : 224);
  if (!config.has("preprocess_cfg")) return p;
  const JsonObject steps = config.object("preprocess_cfg");
  read_mean_and_std(steps, "mean", "std", p);
  p.filter = filter_of_name(steps.get_or<std::string>("interpolation", "bicubic"),
                            steps.where("interpolation"));
  const auto mode = steps.get_or<std::string>("resize_mode", "shortest");
  if (mode == "squash") {
    p.resize = Resize::exact;
  } else {
    require(mode == "shortest", steps.where("resize_mode"),
            "expected shortest or squash, got \"{}\"", mode);
  }
  return p;
}

}  // namespace

Preprocess clip_preprocess(std::int64_t side) {
  require(side > 0 && side <= kMaxSide, "preprocessing", "expected 1 to {} pixels, got {}",
          kMaxSide, side);
  Preprocess p = torchvision_crop(side, side);
  p.mean = kClipMean;
  p.std = kClipStd;
  p.source = "OpenAI's for CLIP";
  return p;
}

Preprocess dinov2_preprocess() {
  Preprocess p = torchvision_crop(256, 224);
  p.mean = kImagenetMean;
  p.std = kImagenetStd;
  p.source = "Meta's for DINOv2";
  return p;
}

std::optional<Preprocess> find_preprocess(const fs::path& folder) {
  const auto finished = [](Preprocess p, const fs::path& path) {
    p.source = path.string();
    check_output(p, p.source);
    return p;
  };
  const auto open = [](const fs::path& path) { return JsonObject::from_file(path, kMaxBytes); };
  if (const fs::path path = folder / "preprocessor_config.json"; fs::exists(path)) {
    return finished(read_hf(open(path)), path);
  }
  if (const fs::path path = folder / "processor_config.json"; fs::exists(path)) {
    const JsonObject config = open(path);
    if (config.has("image_processor")) {
      return finished(read_hf(config.object("image_processor")), path);
    }
  }
  if (const fs::path path = folder / "open_clip_config.json"; fs::exists(path)) {
    return finished(read_open_clip(open(path)), path);
  }
  if (const fs::path path = folder / "config.json"; fs::exists(path)) {
    const JsonObject config = open(path);
    if (config.has("pretrained_cfg")) {
      return finished(read_timm(config.object("pretrained_cfg")), path);
    }
  }
  return std::nullopt;
}

Preprocess read_preprocess(const fs::path& folder) {
  if (const auto found = find_preprocess(folder)) return *found;
  fail(folder.string(),
       "expected preprocessor_config.json, processor_config.json, open_clip_config.json or timm's "
       "config.json with pretrained_cfg, found none (how images are resized and normalised is "
       "unknown without it)");
}

}  // namespace massact

// Vision transformers as timm stores them, known by the architecture's name: ViT, DeiT, CLIP's and
// SigLIP's image towers, MAE, SAM, DINOv2 (also Meta's own files, whose names are nearly the same).
#include <algorithm>
#include <cmath>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/model/families/sam.h"
#include "massact/model/families/timm_name.h"
#include "massact/model/families/timm_weights.h"
#include "massact/model/families/vision.h"
#include "massact/model/family.h"

namespace massact {
namespace {

// What "model_args" may change.
void read_arguments(const JsonObject& config, TimmArchitecture& architecture) {
  if (!config.has("model_args")) return;
  const JsonObject arguments = config.object("model_args");
  TimmArchitecture& a = architecture;
  const auto size = [&](std::string_view name, std::int64_t& value) {
    if (arguments.has(name)) value = read_size(arguments, name, 1 << 16);
  };
  size("embed_dim", a.width);
  size("depth", a.layers);
  size("num_heads", a.heads);
  size("patch_size", a.patch);
  size("img_size", a.image);
  a.own_image_size = arguments.has("img_size");
  if (arguments.has("reg_tokens")) a.registers = arguments.get<std::int64_t>("reg_tokens");
  a.mlp_ratio = arguments.get_or<double>("mlp_ratio", a.mlp_ratio);
  a.class_has_position = !arguments.get_or<bool>("no_embed_class", !a.class_has_position);
  constexpr std::string_view kKnown[] = {
      "embed_dim", "depth",          "num_heads",   "patch_size",  "img_size",        "reg_tokens",
      "mlp_ratio", "no_embed_class", "global_pool", "num_classes", "dynamic_img_size"};
  for (const std::string& key : arguments.keys()) {
    require(std::find(std::begin(kKnown), std::end(kKnown), key) != std::end(kKnown) ||
                !arguments.has(key),
            arguments.where(key), "expected one of {}, got another argument of timm's",
            join(std::vector<std::string>(std::begin(kKnown), std::end(kKnown))));
  }
}

// Of the model's arguments, of the file, or of how it was trained: the first that says it.
template <typename T>
T setting(const JsonObject& config, std::string_view name, T otherwise) {
  for (const char* part : {"model_args", "", "pretrained_cfg"}) {
    const bool here = std::string_view(part).empty();
    if (!here && !config.has(part)) continue;
    const JsonObject object = here ? config : config.object(part);
    if (object.has(name)) return object.get<T>(name);
  }
  return otherwise;
}

void read_image(const JsonObject& config, const TimmArchitecture& a, ModelConfig& model) {
  VisionConfig& vision = model.vision;
  const std::int64_t named = a.image > 0 ? a.image : 224;
  const auto size = setting<std::vector<std::int64_t>>(config, "input_size", {3, named, named});
  require(size.size() == 3, config.where("input_size"), "expected [channels, height, width]");
  vision.channels = size[0];
  vision.image_height = a.own_image_size ? a.image : size[1];
  vision.image_width = a.own_image_size ? a.image : size[2];
  vision.patch_height = vision.patch_width = a.patch;
  require(vision.channels >= 1 && vision.channels <= 1024 && vision.image_height >= a.patch &&
              vision.image_width >= a.patch && vision.image_height <= 1 << 16 &&
              vision.image_width <= 1 << 16,
          config.where("input_size"), "expected at least one patch of {} pixels, got {} x {} x {}",
          a.patch, vision.channels, vision.image_height, vision.image_width);
  require(a.registers >= 0 && a.registers <= 1024, config.where("reg_tokens"),
          "expected 0 to 1024, got {}", a.registers);
  vision.class_tokens = a.class_tokens;
  vision.registers = a.registers;
  vision.positioned_tokens = a.class_has_position ? a.class_tokens : 0;
  vision.stem_norm = a.clip;
  vision.patch_bias = !a.clip;
  vision.resize = PositionResize::bicubic_antialias;
}

void read_head(const JsonObject& config, const TimmArchitecture& a, ModelConfig& model) {
  const auto pool = setting<std::string>(config, "global_pool", "token");
  const auto classes = setting<std::int64_t>(config, "num_classes", 0);
  require(classes >= 0 && classes <= 1 << 24, config.where("num_classes"),
          "expected 0 to {}, got {}", 1 << 24, classes);
  HeadConfig& head = model.head;
  head.kind = classes > 0 ? a.clip ? HeadKind::embedding : HeadKind::classes : HeadKind::none;
  head.outputs = classes;
  if (pool == "avg") {
    head.pooling = Pooling::patch_mean;
    model.final_norm = false;  // it stands behind the mean
  } else if (pool == "map") {
    head.pooling = Pooling::attention;
    head.projects = classes > 0;
    if (classes == 0) head.outputs = model.width;
    if (classes == 0) head.kind = HeadKind::embedding;
  } else {
    require(pool == "token", config.where("global_pool"), "expected token, avg or map, got '{}'",
            pool);
    head.pooling = a.class_tokens == 2 ? Pooling::two_class_tokens : Pooling::first_token;
  }
}

ModelConfig read_timm(const JsonObject& config) {
  const auto name = config.get<std::string>("architecture");
  if (name.starts_with("samvit_")) return read_samvit(config);
  TimmArchitecture a = timm_architecture(name, config.where("architecture"));
  read_arguments(config, a);
  ModelConfig model;
  model.family = "timm";
  model.name = name;
  model.layers = a.layers;
  model.width = a.width;
  model.heads = model.kv_heads = a.heads;
  require(a.layers <= 10000 && a.width % a.heads == 0, config.where("model_args"),
          "expected at most 10000 layers and a divisor of the width {}, got {} layers and {} heads",
          a.width, a.layers, a.heads);
  model.head_size = a.width / a.heads;
  model.attention_scale = 1.0f / std::sqrt(static_cast<float>(model.head_size));
  model.windows.assign(static_cast<std::size_t>(a.layers), 0);
  require(a.mlp_ratio > 0 && a.mlp_ratio <= 1000, config.where("model_args"),
          "expected an mlp_ratio from 0 to 1000, got {}", a.mlp_ratio);
  model.mlp_size = static_cast<std::int64_t>(static_cast<double>(a.width) * a.mlp_ratio);
  if (a.swiglu) model.mlp_size /= 2;
  require(model.mlp_size >= 1, config.where("model_args"), "expected an MLP, got width 0");
  model.gated_mlp = a.swiglu;
  model.activation = a.activation;
  model.causal = false;
  model.norm = NormKind::layer;
  model.norm_bias = true;
  model.norm_eps = a.clip ? 1e-5f : 1e-6f;
  model.positions = PositionKind::learned;
  model.biases = {true, true, true, true, true, true};
  model.layer_scale = a.layer_scale;
  read_image(config, a, model);
  read_head(config, a, model);
  count_image_tokens(model);
  return model;
}

WeightTable weights(const ModelConfig& model) {
  const bool sam = model.head.pooling == Pooling::patch_neighbours;
  return sam ? sam_weights(model) : timm_weights(model);
}

}  // namespace

Family timm_family() { return {"timm", {"timm", "timm_wrapper"}, read_timm, weights}; }

}  // namespace massact

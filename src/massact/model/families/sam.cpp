// SAM's image encoder: a ViT whose blocks see windows of patches, but for a few that see all of
// them, with relative positions, and a neck of two convolutions. HF's names, Meta's and timm's.
#include <algorithm>

#include "massact/base/error.h"
#include "massact/model/families/sam.h"
#include "massact/model/families/vision.h"
#include "massact/model/family.h"

namespace massact {
namespace {

constexpr std::int64_t kMostPlaces = 1 << 16;

nlohmann::json defaults() {
  nlohmann::json fields = vit_defaults();
  fields.erase("intermediate_size");
  fields["image_size"] = 1024;
  fields["model_type"] = "sam_vision_model";
  return fields;
}

// Blocks outside "global_attn_indexes" see windows; HF takes a "window_size" of 0 for none.
void read_patch_windows(const JsonObject& config, ModelConfig& model) {
  const auto window = config.get_or<std::int64_t>("window_size", 14);
  require(window >= 0 && window <= kMostPlaces, config.where("window_size"),
          "expected 0 to {}, got {}", kMostPlaces, window);
  const auto all = config.get_or<std::vector<std::int64_t>>("global_attn_indexes", {2, 5, 8, 11});
  std::vector<std::int64_t> windows(static_cast<std::size_t>(model.layers), window);
  for (const std::int64_t block : all) {
    require(block >= 0, config.where("global_attn_indexes"), "expected blocks from 0 on, got {}",
            block);
    if (block < model.layers) windows[static_cast<std::size_t>(block)] = 0;
  }
  const bool any = std::any_of(windows.begin(), windows.end(), [](auto side) { return side > 0; });
  if (any) model.vision.windows = std::move(windows);
}

ModelConfig read_sam(const JsonObject& config) {
  return read_sam_encoder(config.has("vision_config") ? config.object("vision_config") : config);
}

}  // namespace

ModelConfig read_sam_encoder(const JsonObject& file) {
  const JsonObject config = with_defaults(file, defaults());
  ModelConfig model = read_vision_sizes(config, "sam", "");
  VisionConfig& vision = model.vision;
  vision.class_tokens = vision.positioned_tokens = 0;
  vision.fixed_size = true;
  count_image_tokens(model);
  model.norm_eps = config.get_or<float>("layer_norm_eps", 1e-6f);
  model.activation = read_activation(config, "hidden_act", "gelu");
  const auto ratio = config.get_or<double>("mlp_ratio", 4.0);
  require(ratio > 0 && ratio <= 1000, config.where("mlp_ratio"), "expected 0 to 1000, got {}",
          ratio);
  model.mlp_size = config.has("mlp_dim")
                       ? read_size(config, "mlp_dim")
                       : static_cast<std::int64_t>(static_cast<double>(model.width) * ratio);
  require(model.mlp_size >= 1, config.where("mlp_ratio"), "expected an MLP, got width 0");
  const bool bias = config.get_or<bool>("qkv_bias", true);
  model.biases.q = model.biases.k = model.biases.v = bias;
  if (!config.get_or<bool>("use_abs_pos", true)) model.positions = PositionKind::none;
  vision.relative_positions = config.get_or<bool>("use_rel_pos", true);
  read_patch_windows(config, model);
  model.final_norm = false;
  model.head = {.pooling = Pooling::patch_neighbours,
                .kind = HeadKind::features,
                .outputs = config.has("output_channels")
                               ? read_size(config, "output_channels", kMostPlaces)
                               : 256,
                .projects = false,
                .bias = false};
  return model;
}

Family sam_family() {
  return {"sam", {"sam", "sam_vision_model", "sam_image_encoder"}, read_sam, sam_weights};
}

}  // namespace massact

#include "massact/model/families/vision.h"

#include <algorithm>

#include "massact/base/error.h"
#include "massact/model/pooling.h"

namespace massact {
namespace {

constexpr std::int64_t kMostPixels = 1 << 16;  // of a side
constexpr std::int64_t kMostPatches = 1 << 20;

// A side pair: one number, or [height, width].
std::pair<std::int64_t, std::int64_t> read_pair(const JsonObject& config, std::string_view name,
                                                std::int64_t otherwise) {
  std::vector<std::int64_t> sizes = {otherwise, otherwise};
  if (const auto* field = config.find(name); field != nullptr && field->is_array()) {
    sizes = config.get<std::vector<std::int64_t>>(name);
    require(sizes.size() == 2, config.where(name), "expected [height, width], got {} numbers",
            sizes.size());
  } else if (field != nullptr) {
    sizes.assign(2, config.get<std::int64_t>(name));
  }
  for (const std::int64_t size : sizes) {
    require(size >= 1 && size <= kMostPixels, config.where(name), "expected 1 to {}, got {}",
            kMostPixels, size);
  }
  return {sizes[0], sizes[1]};
}

bool classifies_images(const JsonObject& config) {
  const auto names = config.get_or<std::vector<std::string>>("architectures", {});
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.find("ForImageClassification") != std::string::npos;
  });
}

}  // namespace

JsonObject with_defaults(const JsonObject& config, const nlohmann::json& defaults) {
  nlohmann::json all = defaults;
  for (const std::string& key : config.keys()) {
    if (config.has(key)) all[key] = *config.find(key);
  }
  std::string where = config.where("");
  while (where.ends_with(' ') || where.ends_with(':') || where.ends_with('.')) where.pop_back();
  return {std::move(all), where};
}

nlohmann::json vit_defaults() {
  return {{"hidden_size", 768},        {"intermediate_size", 3072}, {"num_hidden_layers", 12},
          {"num_attention_heads", 12}, {"image_size", 224},         {"patch_size", 16}};
}

void read_image_sizes(const JsonObject& config, ModelConfig& model) {
  VisionConfig& vision = model.vision;
  std::tie(vision.image_height, vision.image_width) = read_pair(config, "image_size", 224);
  std::tie(vision.patch_height, vision.patch_width) = read_pair(config, "patch_size", 16);
  vision.channels = config.has("num_channels") ? read_size(config, "num_channels", 1024) : 3;
  const PatchGrid grid = vision.trained_grid();
  require(grid.rows >= 1 && grid.columns >= 1, config.where("patch_size"),
          "expected patches no larger than the image of {} x {} pixels, got {} x {}",
          vision.image_height, vision.image_width, vision.patch_height, vision.patch_width);
  require(grid.count() <= kMostPatches, config.where("patch_size"),
          "expected at most {} patches, got {} x {}", kMostPatches, grid.rows, grid.columns);
}

void count_image_tokens(ModelConfig& model) {
  model.max_positions = model.vision.leading_tokens() + model.vision.trained_grid().count();
}

ModelConfig read_vision_sizes(const JsonObject& config, std::string_view family,
                              std::string_view mlp) {
  SizeFields fields;
  fields.kv_heads = fields.head_size = {};
  fields.has_vocab = false;
  if (mlp.empty()) {
    fields.mlp = {};
  } else {
    fields.mlp = {mlp};
  }
  ModelConfig model = read_sizes(config, family, fields);
  model.causal = false;
  model.norm = NormKind::layer;
  model.norm_bias = true;
  model.positions = PositionKind::learned;
  model.gated_mlp = false;
  model.biases = {true, true, true, true, true, true};
  model.head.kind = HeadKind::none;
  read_image_sizes(config, model);
  count_image_tokens(model);
  return model;
}

void read_classifier(const JsonObject& config, Pooling pooling, ModelConfig& model) {
  if (!classifies_images(config)) return;
  model.head.kind = HeadKind::classes;
  model.head.pooling = pooling;
  if (config.has("id2label")) {
    model.head.outputs = std::ssize(config.object("id2label").keys());
    require(model.head.outputs > 0, config.where("id2label"), "expected classes, got none");
  } else {
    // HF writes neither for its default, two classes.
    model.head.outputs = config.has("num_labels") ? read_size(config, "num_labels") : 2;
  }
}

void add_patches(const ModelConfig& model, const std::string& source, WeightTable& table) {
  const VisionConfig& vision = model.vision;
  table.add("embed.W_patch", source + ".weight",
            {model.width, vision.channels, vision.patch_height, vision.patch_width});
  if (vision.patch_bias) table.add("embed.b_patch", source + ".bias", {model.width});
}

void add_positions(const ModelConfig& model, const std::string& source, WeightTable& table,
                   bool flat) {
  const VisionConfig& vision = model.vision;
  const std::int64_t rows = vision.positioned_tokens + vision.trained_grid().count();
  table.add("pos_embed.W_pos", source,
            flat ? Shape{rows, model.width} : Shape{1, rows, model.width});
}

void add_vit_attention(const ModelConfig& model, const std::string& prefix, WeightTable& table) {
  const std::int64_t d = model.width;
  add_linear("blocks.*.attn.W_Q", prefix + "attention.query", {d, d}, model.biases.q, table);
  add_linear("blocks.*.attn.W_K", prefix + "attention.key", {d, d}, model.biases.k, table);
  add_linear("blocks.*.attn.W_V", prefix + "attention.value", {d, d}, model.biases.v, table);
  add_linear("blocks.*.attn.W_O", prefix + "output.dense", {d, d}, model.biases.attn_out, table);
}

void add_classifier(const ModelConfig& model, const std::string& source, WeightTable& table) {
  if (model.head.kind == HeadKind::none) return;
  const bool halves =
      model.head.pooling == Pooling::two_class_tokens;  // the other has its own head
  table.add("unembed.W_U", source + ".weight",
            {model.head.outputs, halves ? model.width : pooled_width(model)});
  if (model.head.bias) table.add("unembed.b_U", source + ".bias", {model.head.outputs});
}

}  // namespace massact

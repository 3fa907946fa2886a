// CLIP: an image tower (a norm before the first block, a bias-free patch projection) and a text
// tower (causal), each with a projection to the space in which they are compared. A checkpoint that
// holds both is opened by its image tower.
#include "massact/base/error.h"
#include "massact/model/families/open_clip.h"
#include "massact/model/families/towers.h"
#include "massact/model/families/vision.h"
#include "massact/model/family.h"

namespace massact {
namespace {

// What both towers' blocks have in common.
void read_block(const JsonObject& config, ModelConfig& model) {
  model.norm_eps = config.get_or<float>("layer_norm_eps", 1e-5f);
  model.activation = read_activation(config, "hidden_act", "quick_gelu");
}

// The projection: the whole model has one, a tower alone if its class says so.
void read_projection(const JsonObject& whole, const JsonObject& tower, Pooling pooling,
                     ModelConfig& model) {
  const auto names = whole.get_or<std::vector<std::string>>("architectures", {});
  const bool alone =
      tower.get_or<std::string>("model_type", "") == whole.get<std::string>("model_type");
  if (alone && (names.empty() || !names.front().ends_with("WithProjection"))) return;
  model.head = {.pooling = pooling, .kind = HeadKind::embedding, .outputs = 512, .bias = false};
  if (whole.has("projection_dim")) model.head.outputs = read_size(whole, "projection_dim", 1 << 20);
}

ModelConfig read_image_tower(const JsonObject& whole, const JsonObject& tower) {
  nlohmann::json defaults = vit_defaults();
  defaults["patch_size"] = 32;
  defaults["model_type"] = "clip_vision_model";
  const JsonObject config = with_defaults(tower, defaults);
  ModelConfig model = read_vision_sizes(config, "clip");
  model.vision.patch_bias = false;
  model.vision.stem_norm = true;
  read_block(config, model);
  read_projection(whole, config, Pooling::first_token, model);
  return model;
}

ModelConfig read_text_tower(const JsonObject& tower) {
  const JsonObject config = with_defaults(tower, {{"hidden_size", 512},
                                                  {"intermediate_size", 2048},
                                                  {"num_hidden_layers", 12},
                                                  {"num_attention_heads", 8},
                                                  {"vocab_size", 49408}});
  SizeFields fields;
  fields.kv_heads = fields.head_size = {};
  fields.default_positions = 77;
  ModelConfig model = read_sizes(config, "clip", fields);
  model.norm = NormKind::layer;
  model.norm_bias = true;
  model.positions = PositionKind::learned;
  model.gated_mlp = false;
  model.biases = {true, true, true, true, true, true};
  read_block(config, model);
  model.head.kind = HeadKind::none;
  read_projection(config, config, Pooling::end_of_text, model);
  // Older configurations say 2, which is no token of CLIP's: the end is the largest id then.
  const auto end = config.get_or<std::int64_t>("eos_token_id", 49407);
  if (end != 2) model.head.end_token = end;
  return model;
}

// The text tower's part of a whole model's configuration.
JsonObject text_tower_config(const JsonObject& whole) {
  nlohmann::json tower = *whole.find("text_config");
  tower["architectures"] = {"CLIPTextModelWithProjection"};
  tower["projection_dim"] = *whole.find("projection_dim");
  return {std::move(tower), whole.where("text_config")};
}

ModelConfig read_clip(const JsonObject& config) {
  const auto type = config.get<std::string>("model_type");
  if (type == "clip_text_model") return read_text_tower(config);
  if (type == "open_clip" || type == "open_clip_text_model") {
    const JsonObject hf = open_clip_as_hf(config);
    ModelConfig model = type == "open_clip" ? read_image_tower(hf, hf.object("vision_config"))
                                            : read_text_tower(text_tower_config(hf));
    model.name = type;
    return model;
  }
  if (type == "clip_vision_model") return read_image_tower(config, config);
  return read_image_tower(config, config.object("vision_config"));
}

void add_image_ends(const ModelConfig& model, WeightTable& table) {
  table.prefixes = {"vision_model.", ""};
  table.add("embed.class", "@embeddings.class_embedding", {model.width});
  add_patches(model, "@embeddings.patch_embedding", table);
  add_positions(model, "@embeddings.position_embedding.weight", table, true);
  add_norm(model, "embed.ln", "@pre_layrnorm", table);
  add_norm(model, "ln_final", "@post_layernorm", table);
  add_classifier(model, "visual_projection", table);
  table.ignore("text_model.*", "the text tower: a model of its own");
  table.ignore("text_projection.weight", "the text tower's");
}

void add_text_ends(const ModelConfig& model, WeightTable& table) {
  add_tower_text(model, table);
  add_classifier(model, "text_projection", table);
  table.ignore("vision_model.*", "the image tower: a model of its own");
  table.ignore("visual_projection.weight", "the image tower's");
}

WeightTable clip_weights(const ModelConfig& model) {
  if (model.name.starts_with("open_clip")) return open_clip_weights(model);
  WeightTable table;
  if (model.is_vision()) {
    add_image_ends(model, table);
  } else {
    add_text_ends(model, table);
  }
  add_tower_blocks(model, table);
  return table;
}

}  // namespace

Family clip_family() {
  return {"clip",
          {"clip", "clip_vision_model", "clip_text_model", "open_clip", "open_clip_text_model"},
          read_clip,
          clip_weights};
}

}  // namespace massact

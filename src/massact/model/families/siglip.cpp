// SigLIP: an image tower without a class token whose head is a learned query's attention, and a
// text tower that sees in both directions and is read at its last token. A checkpoint that holds
// both is opened by its image tower.
#include "massact/model/families/towers.h"
#include "massact/model/families/vision.h"
#include "massact/model/family.h"

namespace massact {
namespace {

void read_block(const JsonObject& config, ModelConfig& model) {
  model.norm_eps = config.get_or<float>("layer_norm_eps", 1e-6f);
  model.activation = read_activation(config, "hidden_act", "gelu_pytorch_tanh");
}

ModelConfig read_image_tower(const JsonObject& tower) {
  nlohmann::json defaults = vit_defaults();
  defaults["model_type"] = "siglip_vision_model";
  const JsonObject config = with_defaults(tower, defaults);
  ModelConfig model = read_vision_sizes(config, "siglip");
  model.vision.class_tokens = model.vision.positioned_tokens = 0;
  count_image_tokens(model);
  read_block(config, model);
  if (config.get_or<bool>("vision_use_head", true)) {
    model.head = {.pooling = Pooling::attention,
                  .kind = HeadKind::embedding,
                  .outputs = model.width,
                  .projects = false};
  }
  return model;
}

ModelConfig read_text_tower(const JsonObject& tower) {
  nlohmann::json defaults = vit_defaults();
  defaults["vocab_size"] = 32000;
  const JsonObject config = with_defaults(tower, defaults);
  SizeFields fields;
  fields.kv_heads = fields.head_size = {};
  fields.default_positions = 64;
  ModelConfig model = read_sizes(config, "siglip", fields);
  model.causal = false;
  model.norm = NormKind::layer;
  model.norm_bias = true;
  model.positions = PositionKind::learned;
  model.gated_mlp = false;
  model.biases = {true, true, true, true, true, true};
  read_block(config, model);
  const std::int64_t size =
      config.has("projection_size") ? read_size(config, "projection_size", 1 << 20) : model.width;
  model.head = {.pooling = Pooling::last_token, .kind = HeadKind::embedding, .outputs = size};
  return model;
}

ModelConfig read_siglip(const JsonObject& config) {
  const auto type = config.get<std::string>("model_type");
  if (type == "siglip_text_model") return read_text_tower(config);
  if (type == "siglip_vision_model") return read_image_tower(config);
  return read_image_tower(config.object("vision_config"));
}

// The learned query's attention and the MLP behind it.
void add_pooling(const ModelConfig& model, WeightTable& table) {
  const std::int64_t d = model.width, f = model.mlp_size;
  table.add("head.probe", "@head.probe", {1, 1, d});
  std::int64_t first = 0;
  for (const std::string part : {"Q", "K", "V"}) {
    table.add("head.W_" + part, "@head.attention.in_proj_weight", {3 * d, d}).part = {first, d};
    table.add("head.b_" + part, "@head.attention.in_proj_bias", {3 * d}).part = {first, d};
    first += d;
  }
  add_linear("head.W_O", "@head.attention.out_proj", {d, d}, true, table);
  add_norm(model, "head.mlp_ln", "@head.layernorm", table);
  add_linear("head.W_in", "@head.mlp.fc1", {f, d}, true, table);
  add_linear("head.W_out", "@head.mlp.fc2", {d, f}, true, table);
}

void add_image_ends(const ModelConfig& model, WeightTable& table) {
  table.prefixes = {"vision_model.", ""};
  add_patches(model, "@embeddings.patch_embedding", table);
  add_positions(model, "@embeddings.position_embedding.weight", table, true);
  add_norm(model, "ln_final", "@post_layernorm", table);
  if (model.head.pools()) add_pooling(model, table);
  table.ignore("text_model.*", "the text tower: a model of its own");
}

void add_text_ends(const ModelConfig& model, WeightTable& table) {
  add_tower_text(model, table);
  add_classifier(model, "@head", table);
  table.ignore("vision_model.*", "the image tower: a model of its own");
}

WeightTable siglip_weights(const ModelConfig& model) {
  WeightTable table;
  if (model.is_vision()) {
    add_image_ends(model, table);
  } else {
    add_text_ends(model, table);
  }
  add_tower_blocks(model, table);
  table.ignore("logit_bias", "added to the similarity of images and texts");
  return table;
}

}  // namespace

Family siglip_family() {
  return {"siglip",
          {"siglip", "siglip_vision_model", "siglip_text_model"},
          read_siglip,
          siglip_weights};
}

}  // namespace massact

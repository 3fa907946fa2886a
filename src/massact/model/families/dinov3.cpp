// DINOv3: no learned positions but rotary ones on the patches by row and column, registers,
// LayerScale, no bias on the keys.
#include "massact/base/error.h"
#include "massact/model/families/vision.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_dinov3(const JsonObject& file) {
  nlohmann::json defaults = vit_defaults();
  defaults["hidden_size"] = 384;
  defaults["intermediate_size"] = 1536;
  defaults["num_attention_heads"] = 6;
  const JsonObject config = with_defaults(file, defaults);
  ModelConfig model = read_vision_sizes(config, "dinov3");
  model.vision.positioned_tokens = 0;
  model.vision.registers = config.get_or<std::int64_t>("num_register_tokens", 0);
  require(model.vision.registers >= 0 && model.vision.registers <= 1024,
          config.where("num_register_tokens"), "expected 0 to 1024, got {}",
          model.vision.registers);
  count_image_tokens(model);
  model.norm_eps = config.get_or<float>("layer_norm_eps", 1e-5f);
  model.activation = read_activation(config, "hidden_act", "gelu");
  model.gated_mlp = config.get_or<bool>("use_gated_mlp", false);
  model.biases.q = config.get_or<bool>("query_bias", true);
  model.biases.k = config.get_or<bool>("key_bias", false);
  model.biases.v = config.get_or<bool>("value_bias", true);
  model.biases.attn_out = config.get_or<bool>("proj_bias", true);
  model.biases.mlp_in = model.biases.mlp_out = config.get_or<bool>("mlp_bias", true);
  model.layer_scale = true;
  model.positions = PositionKind::rotary;
  require(model.head_size % 4 == 0, config.where("num_attention_heads"),
          "expected heads of a multiple of 4 (rotary positions by row and column), got {}",
          model.head_size);
  model.rope.dims = model.head_size;
  model.rope.base = config.get_or<double>("rope_theta", 100.0);
  require(model.rope.base > 0, config.where("rope_theta"), "expected more than 0, got {}",
          model.rope.base);
  return model;
}

WeightTable dinov3_weights(const ModelConfig& model) {
  const std::int64_t d = model.width;
  WeightTable table;
  table.prefixes = {"", "dinov3_vit."};
  table.add("embed.class", "@embeddings.cls_token", {1, 1, d});
  if (model.vision.registers > 0) {
    table.add("embed.registers", "@embeddings.register_tokens", {1, model.vision.registers, d});
  } else {
    table.ignore("*embeddings.register_tokens", "there are none");
  }
  table.ignore("*embeddings.mask_token", "stands for hidden patches in training");
  add_patches(model, "@embeddings.patch_embeddings", table);
  add_norm(model, "blocks.*.ln1", "@layer.*.norm1", table);
  add_attention(model, "@layer.*.attention.", "o_proj", table);
  table.add("blocks.*.attn.layer_scale", "@layer.*.layer_scale1.lambda1", {d});
  add_norm(model, "blocks.*.ln2", "@layer.*.norm2", table);
  add_mlp(model, "@layer.*.mlp.up_proj", "@layer.*.mlp.down_proj", table,
          model.gated_mlp ? "@layer.*.mlp.gate_proj" : "");
  table.add("blocks.*.mlp.layer_scale", "@layer.*.layer_scale2.lambda1", {d});
  add_norm(model, "ln_final", "@norm", table);
  return table;
}

}  // namespace

Family dinov3_family() { return {"dinov3", {"dinov3_vit"}, read_dinov3, dinov3_weights}; }

}  // namespace massact

// DINOv2, with and without registers: LayerScale, SwiGLU in the giant, a classifier on the class
// token and the mean of the patches.
#include "massact/base/error.h"
#include "massact/model/families/vision.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_dinov2(const JsonObject& file) {
  nlohmann::json defaults = vit_defaults();
  if (file.get<std::string>("model_type") == "dinov2") defaults["patch_size"] = 14;
  const JsonObject config = with_defaults(file, defaults);
  ModelConfig model = read_vision_sizes(config, "dinov2", "");
  VisionConfig& vision = model.vision;
  if (model.name == "dinov2_with_registers") {
    vision.registers = config.get_or<std::int64_t>("num_register_tokens", 4);
    require(vision.registers >= 0 && vision.registers <= 1024, config.where("num_register_tokens"),
            "expected 0 to 1024, got {}", vision.registers);
    vision.resize = PositionResize::bicubic_antialias;
  }
  count_image_tokens(model);
  model.norm_eps = config.get_or<float>("layer_norm_eps", 1e-6f);
  model.activation = read_activation(config, "hidden_act", "gelu");
  const auto ratio = config.get_or<double>("mlp_ratio", 4.0);
  require(ratio > 0 && ratio <= 1000, config.where("mlp_ratio"), "expected 0 to 1000, got {}",
          ratio);
  model.mlp_size = static_cast<std::int64_t>(static_cast<double>(model.width) * ratio);
  if (config.get_or<bool>("use_swiglu_ffn", false)) {
    model.gated_mlp = true;
    model.activation = ops::Activation::silu;
    // Two thirds, rounded up to a multiple of 8.
    const auto part = static_cast<std::int64_t>(static_cast<double>(model.mlp_size) * 2 / 3);
    model.mlp_size = (part + 7) / 8 * 8;
  }
  require(model.mlp_size >= 1, config.where("mlp_ratio"), "expected an MLP, got width 0");
  const bool bias = config.get_or<bool>("qkv_bias", true);
  model.biases.q = model.biases.k = model.biases.v = bias;
  model.layer_scale = true;
  read_classifier(config, Pooling::class_and_patch_mean, model);
  read_attention_variant(config, model);
  return model;
}

WeightTable dinov2_weights(const ModelConfig& model) {
  const std::int64_t d = model.width, f = model.mlp_size;
  WeightTable table;
  const bool registers = model.name == "dinov2_with_registers";
  table.prefixes = {registers ? "dinov2_with_registers." : "dinov2.", ""};
  table.add("embed.class", "@embeddings.cls_token", {1, 1, d});
  if (model.vision.registers > 0) {
    table.add("embed.registers", "@embeddings.register_tokens", {1, model.vision.registers, d});
  }
  table.ignore("*embeddings.mask_token", "stands for hidden patches in training");
  add_patches(model, "@embeddings.patch_embeddings.projection", table);
  add_positions(model, "@embeddings.position_embeddings", table);
  add_norm(model, "blocks.*.ln1", "@encoder.layer.*.norm1", table);
  add_vit_attention(model, "@encoder.layer.*.attention.", table);
  table.add("blocks.*.attn.layer_scale", "@encoder.layer.*.layer_scale1.lambda1", {d});
  add_norm(model, "blocks.*.ln2", "@encoder.layer.*.norm2", table);
  if (model.gated_mlp) {  // gate and input in one
    add_linear("blocks.*.mlp.W_gate", "@encoder.layer.*.mlp.weights_in", {2 * f, d}, true, table,
               {0, f});
    add_linear("blocks.*.mlp.W_in", "@encoder.layer.*.mlp.weights_in", {2 * f, d}, true, table,
               {f, f});
    add_linear("blocks.*.mlp.W_out", "@encoder.layer.*.mlp.weights_out", {d, f}, true, table);
  } else {
    add_mlp(model, "@encoder.layer.*.mlp.fc1", "@encoder.layer.*.mlp.fc2", table);
  }
  table.add("blocks.*.mlp.layer_scale", "@encoder.layer.*.layer_scale2.lambda1", {d});
  add_variant_weights(model, "@encoder.layer.*.attention.attention.", table);
  add_norm(model, "ln_final", "@layernorm", table);
  add_classifier(model, "classifier", table);
  return table;
}

}  // namespace

Family dinov2_family() {
  return {"dinov2", {"dinov2", "dinov2_with_registers"}, read_dinov2, dinov2_weights};
}

}  // namespace massact

// The tensors of timm's vision transformers, and of Meta's DINOv2, whose names are nearly the same.
#include "massact/model/families/timm_weights.h"

#include "massact/model/families/vision.h"

namespace massact {
namespace {

void add_stem(const ModelConfig& model, WeightTable& table) {
  const std::int64_t d = model.width;
  if (model.vision.class_tokens > 0) table.add("embed.class", "@cls_token", {1, 1, d});
  if (model.vision.class_tokens == 2) table.add("embed.distillation", "@dist_token", {1, 1, d});
  if (model.vision.registers > 0) {
    table.add("embed.registers", "@reg_token", {1, model.vision.registers, d});
    also_named("embed.registers", "@register_tokens", table);
  }
  table.ignore("*mask_token", "stands for hidden patches in training");
  add_patches(model, "@patch_embed.proj", table);
  add_positions(model, "@pos_embed", table);
  if (model.vision.stem_norm) add_norm(model, "embed.ln", "@norm_pre", table);
}

void add_gated(const ModelConfig& model, WeightTable& table) {
  const std::int64_t d = model.width, f = model.mlp_size;
  add_linear("blocks.*.mlp.W_gate", "@blocks.*.mlp.fc1", {2 * f, d}, true, table, {0, f});
  add_linear("blocks.*.mlp.W_in", "@blocks.*.mlp.fc1", {2 * f, d}, true, table, {f, f});
  add_linear("blocks.*.mlp.W_out", "@blocks.*.mlp.fc2", {d, f}, true, table);
  for (const std::string end : {"weight", "bias"}) {
    const std::string kind = end == "weight" ? "W" : "b";
    also_named("blocks.*.mlp." + kind + "_gate", "@blocks.*.mlp.w12." + end, table);
    also_named("blocks.*.mlp." + kind + "_in", "@blocks.*.mlp.w12." + end, table);
    also_named("blocks.*.mlp." + kind + "_out", "@blocks.*.mlp.w3." + end, table);
  }
}

void add_head(const ModelConfig& model, WeightTable& table) {
  const std::int64_t d = model.width, f = model.mlp_size, n = model.head.outputs;
  if (model.final_norm) add_norm(model, "ln_final", "@norm", table);
  if (model.head.pooling == Pooling::patch_mean) add_norm(model, "head.ln", "@fc_norm", table);
  if (model.head.pooling == Pooling::attention) {
    table.add("head.probe", "@attn_pool.latent", {1, 1, d});
    add_linear("head.W_Q", "@attn_pool.q", {d, d}, true, table);
    add_linear("head.W_K", "@attn_pool.kv", {2 * d, d}, true, table, {0, d});
    add_linear("head.W_V", "@attn_pool.kv", {2 * d, d}, true, table, {d, d});
    add_linear("head.W_O", "@attn_pool.proj", {d, d}, true, table);
    add_norm(model, "head.mlp_ln", "@attn_pool.norm", table);
    add_linear("head.W_in", "@attn_pool.mlp.fc1", {f, d}, true, table);
    add_linear("head.W_out", "@attn_pool.mlp.fc2", {d, f}, true, table);
  }
  if (model.head.projects) add_classifier(model, "@head", table);
  if (model.head.kind != HeadKind::none && model.head.pooling == Pooling::two_class_tokens) {
    table.add("unembed.W_distilled", "@head_dist.weight", {n, d});
    table.add("unembed.b_distilled", "@head_dist.bias", {n});
  }
}

}  // namespace

WeightTable timm_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"", "timm_model."};
  add_stem(model, table);
  add_norm(model, "blocks.*.ln1", "@blocks.*.norm1", table);
  add_fused_attention(model, FusedLayout::stacked, "@blocks.*.attn.qkv", "@blocks.*.attn.proj",
                      table);
  add_norm(model, "blocks.*.ln2", "@blocks.*.norm2", table);
  if (model.gated_mlp) {
    add_gated(model, table);
  } else {
    add_mlp(model, "@blocks.*.mlp.fc1", "@blocks.*.mlp.fc2", table);
  }
  if (model.layer_scale) {
    table.add("blocks.*.attn.layer_scale", "@blocks.*.ls1.gamma", {model.width});
    table.add("blocks.*.mlp.layer_scale", "@blocks.*.ls2.gamma", {model.width});
  }
  add_head(model, table);
  return table;
}

}  // namespace massact

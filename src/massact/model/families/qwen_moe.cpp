// Qwen2-MoE and Qwen3-MoE: Qwen2's and Qwen3's attention; some blocks have experts, the others one
// MLP. Qwen2's experts come with a shared one that all tokens see.
#include "massact/base/error.h"
#include "massact/model/families/common.h"
#include "massact/model/families/experts.h"
#include "massact/model/family.h"

namespace massact {
namespace {

// Blocks without experts are listed, and those in between by a step.
void read_sparse_blocks(const JsonObject& config, ModelConfig& model) {
  const auto step = config.get_or<std::int64_t>("decoder_sparse_step", 1);
  require(step >= 1, config.where("decoder_sparse_step"), "expected at least 1, got {}", step);
  for (std::int64_t block = 0; block < model.layers; ++block) {
    model.moe.blocks[static_cast<std::size_t>(block)] = (block + 1) % step == 0;
  }
  for (const std::int64_t block : config.get_or<std::vector<std::int64_t>>("mlp_only_layers", {})) {
    require(block >= 0 && block < model.layers, config.where("mlp_only_layers"),
            "expected layers from 0 to {}, got {}", model.layers - 1, block);
    model.moe.blocks[static_cast<std::size_t>(block)] = false;
  }
}

ModelConfig read_qwen_moe(const JsonObject& config) {
  const bool second = config.get<std::string>("model_type") == "qwen2_moe";
  SizeFields fields;
  fields.default_positions = 32768;
  ModelConfig model = read_sizes(config, "qwen_moe", fields);
  read_norm(config, NormKind::rms, "rms_norm_eps", 1e-6f, model);
  read_rotary(config, model);
  model.activation = read_activation(config, "hidden_act", "silu");
  model.gated_mlp = true;
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  if (second) {
    const bool bias = config.get_or<bool>("qkv_bias", true);
    model.biases = {.q = bias, .k = bias, .v = bias};
  } else {
    const bool bias = config.get_or<bool>("attention_bias", false);
    model.biases = {.q = bias, .k = bias, .v = bias, .attn_out = bias};
    model.qk_norm = QkNorm::shared_by_heads;
  }
  if (config.get_or<bool>("use_sliding_window", false) && config.has("sliding_window")) {
    const auto first = config.get_or<std::int64_t>("max_window_layers", 28);
    // Qwen3-MoE's window is everywhere, Qwen2-MoE's begins at a layer.
    read_windows(
        config, read_size(config, "sliding_window"),
        [&](std::int64_t block) { return !second || block >= first; }, model);
  }
  read_experts(config, config.has("num_experts") ? "num_experts" : "num_local_experts",
               read_size(config, "moe_intermediate_size"), model);
  model.moe.normalised = config.get_or<bool>("norm_topk_prob", false);
  if (second) model.moe.shared_size = read_size(config, "shared_expert_intermediate_size");
  read_sparse_blocks(config, model);
  read_attention_variant(config, model);
  return model;
}

WeightTable qwen_moe_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"model.", ""};
  const std::string attention = "@layers.*.self_attn.", mlp = "@layers.*.mlp.";
  const MlpNames names = {.gate = "gate_proj", .in = "up_proj", .out = "down_proj"};
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@layers.*.input_layernorm", table);
  add_attention(model, attention, "o_proj", table);
  add_qk_norms(model, attention + "q_norm", attention + "k_norm", table);
  add_norm(model, "blocks.*.ln2", "@layers.*.post_attention_layernorm", table);
  add_router(model, mlp + "gate", table);
  add_experts(model, mlp + "experts.", names, table);
  add_shared_expert(model, mlp + "shared_expert", names, table);
  add_dense_blocks(model, mlp, names, table);
  add_norm(model, "ln_final", "@norm", table);
  add_variant_weights(model, attention, table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family qwen_moe_family() {
  return {"qwen_moe", {"qwen2_moe", "qwen3_moe"}, read_qwen_moe, qwen_moe_weights};
}

}  // namespace massact

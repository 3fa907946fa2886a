// OLMo 1: LayerNorm without weights, clamped query/key/value. OLMo 2: RMSNorm on what each branch
// adds instead of on what it reads, and on all queries and all keys of a token.
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_olmo(const JsonObject& config) {
  ModelConfig model = read_sizes(config, "olmo");
  if (model.name == "olmo2") {
    read_norm(config, NormKind::rms, "rms_norm_eps", 1e-5f, model);
    model.norm_placement = NormPlacement::after_branch;
    model.qk_norm = QkNorm::whole;
  } else {
    model.norm = NormKind::layer;
    model.norm_eps = 1e-5f;
    model.norm_weight = false;
    model.clip_qkv = config.get_or<float>("clip_qkv", 0.0f);
  }
  read_rotary(config, model);
  model.activation = read_activation(config, "hidden_act", "silu");
  model.gated_mlp = true;
  const bool bias = config.get_or<bool>("attention_bias", false);
  model.biases = {.q = bias, .k = bias, .v = bias, .attn_out = bias};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  return model;
}

WeightTable olmo_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"model.", ""};
  const std::string attention = "@layers.*.self_attn.", mlp = "@layers.*.mlp.";
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, model.width});
  add_attention(model, attention, "o_proj", table);
  add_qk_norms(model, attention + "q_norm", attention + "k_norm", table);
  add_mlp(model, mlp + "up_proj", mlp + "down_proj", table, mlp + "gate_proj");
  if (model.has_branch_norms()) {
    add_norm(model, "blocks.*.ln1_post", "@layers.*.post_attention_layernorm", table);
    add_norm(model, "blocks.*.ln2_post", "@layers.*.post_feedforward_layernorm", table);
  }
  add_norm(model, "ln_final", "@norm", table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family olmo_family() { return {"olmo", {"olmo", "olmo2"}, read_olmo, olmo_weights}; }

}  // namespace massact

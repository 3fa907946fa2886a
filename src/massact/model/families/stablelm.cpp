// StableLM: LayerNorm, partial rotary positions, gated MLP; StableLM 2 12B has norms for each
// head's queries and keys, and attention and MLP in parallel behind one norm.
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_stablelm(const JsonObject& config) {
  SizeFields fields;
  fields.head_size = {};
  fields.default_positions = 4096;
  ModelConfig model = read_sizes(config, "stablelm", fields);
  read_norm(config, NormKind::layer, "layer_norm_eps", 1e-5f, model);
  read_rotary(config, model, {.default_share = 0.25});
  if (config.get_or<bool>("use_parallel_residual", false)) {
    model.order = BlockOrder::parallel_shared;
  }
  if (config.get_or<bool>("qk_layernorm", false)) model.qk_norm = QkNorm::each_head;
  model.activation = read_activation(config, "hidden_act", "silu");
  model.gated_mlp = true;
  const bool bias = config.get_or<bool>("use_qkv_bias", false);
  model.biases = {.q = bias, .k = bias, .v = bias};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  return model;
}

WeightTable stablelm_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"model.", ""};
  const std::string attention = "@layers.*.self_attn.", mlp = "@layers.*.mlp.";
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@layers.*.input_layernorm", table);
  add_attention(model, attention, "o_proj", table);
  add_qk_norms(model, attention + "q_layernorm", attention + "k_layernorm", table);
  if (model.order == BlockOrder::sequential) {
    add_norm(model, "blocks.*.ln2", "@layers.*.post_attention_layernorm", table);
  }
  add_mlp(model, mlp + "up_proj", mlp + "down_proj", table, mlp + "gate_proj");
  add_norm(model, "ln_final", "@norm", table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family stablelm_family() { return {"stablelm", {"stablelm"}, read_stablelm, stablelm_weights}; }

}  // namespace massact

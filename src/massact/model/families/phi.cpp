// Phi-1, 1.5 and 2: LayerNorm, partial rotary positions, attention and MLP in parallel behind one
// norm, biases everywhere, the output head included.
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_phi(const JsonObject& config) {
  ModelConfig model = read_sizes(config, "phi");
  read_norm(config, NormKind::layer, "layer_norm_eps", 1e-5f, model);
  read_rotary(config, model, {.default_share = 0.5});
  model.order = BlockOrder::parallel_shared;
  if (config.get_or<bool>("qk_layernorm", false)) model.qk_norm = QkNorm::shared_by_heads;
  model.activation = read_activation(config, "hidden_act", "gelu_new");
  model.gated_mlp = false;
  model.biases = {true, true, true, true, true, true, true};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  return model;
}

WeightTable phi_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"model.", ""};
  const std::string attention = "@layers.*.self_attn.";
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@layers.*.input_layernorm", table);
  add_attention(model, attention, "dense", table);
  add_qk_norms(model, attention + "q_layernorm", attention + "k_layernorm", table);
  add_mlp(model, "@layers.*.mlp.fc1", "@layers.*.mlp.fc2", table);
  add_norm(model, "ln_final", "@final_layernorm", table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family phi_family() { return {"phi", {"phi"}, read_phi, phi_weights}; }

}  // namespace massact

// StarCoder2: LayerNorm, rotary positions, grouped queries, sliding window, a plain MLP with
// biases.
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_starcoder2(const JsonObject& config) {
  SizeFields fields;
  fields.default_kv_heads = 2;
  fields.default_positions = 4096;
  ModelConfig model = read_sizes(config, "starcoder2", fields);
  read_norm(config, NormKind::layer, "norm_epsilon", 1e-5f, model);
  read_rotary(config, model);
  model.activation = read_activation(config, "hidden_act", "gelu_pytorch_tanh");
  model.gated_mlp = false;
  const bool bias = config.get_or<bool>("use_bias", true);
  model.biases = {bias, bias, bias, bias, bias, bias};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", true);
  if (config.has("sliding_window")) {
    set_windows(
        read_size(config, "sliding_window"), [](std::int64_t) { return true; }, model);
  }
  return model;
}

WeightTable starcoder2_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"model.", ""};
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@layers.*.input_layernorm", table);
  add_attention(model, "@layers.*.self_attn.", "o_proj", table);
  add_norm(model, "blocks.*.ln2", "@layers.*.post_attention_layernorm", table);
  add_mlp(model, "@layers.*.mlp.c_fc", "@layers.*.mlp.c_proj", table);
  add_norm(model, "ln_final", "@norm", table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family starcoder2_family() {
  return {"starcoder2", {"starcoder2"}, read_starcoder2, starcoder2_weights};
}

}  // namespace massact

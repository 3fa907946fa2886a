// Cohere's Command R: LayerNorm without biases, rotary positions on neighbouring pairs, attention
// and gated MLP in parallel behind one norm, scaled logits.
#include "massact/base/error.h"
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_cohere(const JsonObject& config) {
  SizeFields fields;
  fields.default_positions = 8192;
  ModelConfig model = read_sizes(config, "cohere", fields);
  read_norm(config, NormKind::layer, "layer_norm_eps", 1e-5f, model);
  model.norm_bias = false;
  read_rotary(config, model, {.default_base = 500000.0});
  model.rope.style = ops::RopeStyle::interleaved;
  require(!config.get_or<bool>("use_qk_norm", false), config.where("use_qk_norm"),
          "expected false (Command R+ has a matrix of norm weights for queries), got true");
  model.order = BlockOrder::parallel_shared;
  model.activation = read_activation(config, "hidden_act", "silu");
  model.gated_mlp = true;
  const bool bias = config.get_or<bool>("attention_bias", false);
  model.biases = {.q = bias, .k = bias, .v = bias, .attn_out = bias};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", true);
  model.logit_scale = config.get_or<float>("logit_scale", 0.0625f);
  return model;
}

WeightTable cohere_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"model.", ""};
  const std::string mlp = "@layers.*.mlp.";
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@layers.*.input_layernorm", table);
  add_attention(model, "@layers.*.self_attn.", "o_proj", table);
  add_mlp(model, mlp + "up_proj", mlp + "down_proj", table, mlp + "gate_proj");
  add_norm(model, "ln_final", "@norm", table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family cohere_family() { return {"cohere", {"cohere"}, read_cohere, cohere_weights}; }

}  // namespace massact

// GPT-NeoX and Pythia: LayerNorm, partial rotary positions, query/key/value fused head by head,
// attention and MLP in parallel (each with its own norm) or one after the other.
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_gpt_neox(const JsonObject& config) {
  SizeFields fields;
  fields.kv_heads = fields.head_size = {};
  ModelConfig model = read_sizes(config, "gpt-neox", fields);
  read_norm(config, NormKind::layer, "layer_norm_eps", 1e-5f, model);
  read_rotary(config, model,
              {.base = "rotary_emb_base", .share = "rotary_pct", .default_share = 0.25});
  model.order = config.get_or<bool>("use_parallel_residual", true) ? BlockOrder::parallel
                                                                   : BlockOrder::sequential;
  model.activation = read_activation(config, "hidden_act", "gelu");
  model.gated_mlp = false;
  const bool attention = config.get_or<bool>("attention_bias", true);
  model.biases = {attention, attention, attention, attention, true, true};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  return model;
}

WeightTable gpt_neox_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"gpt_neox.", ""};
  const std::string attention = "@layers.*.attention.", mlp = "@layers.*.mlp.";
  table.add("embed.W_E", "@embed_in.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@layers.*.input_layernorm", table);
  add_fused_attention(model, FusedLayout::grouped, attention + "query_key_value",
                      attention + "dense", table);
  add_norm(model, "blocks.*.ln2", "@layers.*.post_attention_layernorm", table);
  add_mlp(model, mlp + "dense_h_to_4h", mlp + "dense_4h_to_h", table);
  add_norm(model, "ln_final", "@final_layer_norm", table);
  table.ignore("*.attention.bias", "the causal mask, a constant");
  table.ignore("*.attention.masked_bias", "a constant of the mask");
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  add_unembedding(model, table, "embed_out");
  also_named("unembed.W_U", "lm_head.weight", table);
  return table;
}

}  // namespace

Family gpt_neox_family() { return {"gpt-neox", {"gpt_neox"}, read_gpt_neox, gpt_neox_weights}; }

}  // namespace massact

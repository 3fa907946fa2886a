// Mixtral: Mistral's attention, and in every block experts whose chosen weights sum to one.
#include "massact/model/families/common.h"
#include "massact/model/families/experts.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_mixtral(const JsonObject& config) {
  SizeFields fields;
  fields.default_kv_heads = 8;
  fields.default_positions = 131072;
  ModelConfig model = read_sizes(config, "mixtral", fields);
  read_norm(config, NormKind::rms, "rms_norm_eps", 1e-5f, model);
  read_rotary(config, model, {.default_base = 1e6});
  model.activation = read_activation(config, "hidden_act", "silu");
  model.gated_mlp = true;
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  if (config.has("sliding_window")) {
    set_windows(
        read_size(config, "sliding_window"), [](std::int64_t) { return true; }, model);
  }
  read_experts(config, "num_local_experts", model.mlp_size, model);
  model.moe.normalised = true;
  read_attention_variant(config, model);
  return model;
}

WeightTable mixtral_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"model.", ""};
  const std::string attention = "@layers.*.self_attn.", mlp = "@layers.*.block_sparse_moe.";
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@layers.*.input_layernorm", table);
  add_attention(model, attention, "o_proj", table);
  add_norm(model, "blocks.*.ln2", "@layers.*.post_attention_layernorm", table);
  add_router(model, mlp + "gate", table);
  add_experts(model, mlp + "experts.", {.gate = "w1", .in = "w3", .out = "w2"}, table);
  add_norm(model, "ln_final", "@norm", table);
  add_variant_weights(model, attention, table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family mixtral_family() { return {"mixtral", {"mixtral"}, read_mixtral, mixtral_weights}; }

}  // namespace massact

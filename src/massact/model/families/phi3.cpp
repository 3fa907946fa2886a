// Phi-3, 3.5 and 4: as LLaMA, with query/key/value and gate/up fused; LongRoPE in the long ones.
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_phi3(const JsonObject& config) {
  SizeFields fields;
  fields.default_positions = 4096;
  ModelConfig model = read_sizes(config, "phi3", fields);
  read_norm(config, NormKind::rms, "rms_norm_eps", 1e-5f, model);
  read_rotary(config, model);
  model.activation = read_activation(config, "hidden_act", "silu");
  model.gated_mlp = true;
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  if (config.has("sliding_window")) {
    set_windows(
        read_size(config, "sliding_window"), [](std::int64_t) { return true; }, model);
  }
  return model;
}

WeightTable phi3_weights(const ModelConfig& model) {
  const std::int64_t d = model.width, f = model.mlp_size;
  WeightTable table;
  table.prefixes = {"model.", ""};
  const std::string attention = "@layers.*.self_attn.", mlp = "@layers.*.mlp.";
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, d});
  add_norm(model, "blocks.*.ln1", "@layers.*.input_layernorm", table);
  add_fused_attention(model, FusedLayout::stacked, attention + "qkv_proj", attention + "o_proj",
                      table);
  add_norm(model, "blocks.*.ln2", "@layers.*.post_attention_layernorm", table);
  add_linear("blocks.*.mlp.W_gate", mlp + "gate_up_proj", {2 * f, d}, false, table, {0, f});
  add_linear("blocks.*.mlp.W_in", mlp + "gate_up_proj", {2 * f, d}, false, table, {f, f});
  add_linear("blocks.*.mlp.W_out", mlp + "down_proj", {d, f}, false, table);
  add_norm(model, "ln_final", "@norm", table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family phi3_family() { return {"phi3", {"phi3"}, read_phi3, phi3_weights}; }

}  // namespace massact

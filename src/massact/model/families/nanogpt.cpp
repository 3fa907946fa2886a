// nanoGPT and its relatives (minGPT's names too): GPT-2 whose projections lie as [outputs, inputs]
// and which may do without biases. The options come from the checkpoint itself.
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_nanogpt(const JsonObject& config) {
  SizeFields fields;
  fields.layers = {"n_layer"};
  fields.width = {"n_embd"};
  fields.heads = {"n_head"};
  fields.kv_heads = fields.head_size = fields.mlp = {};
  fields.positions = {"block_size"};
  fields.default_positions = 1024;
  ModelConfig model = read_sizes(config, "nanogpt", fields);
  read_norm(config, NormKind::layer, "layer_norm_epsilon", 1e-5f, model);
  model.positions = PositionKind::learned;
  model.activation = read_activation(config, "activation", "gelu");
  model.gated_mlp = false;
  const bool bias = config.get_or<bool>("bias", true);
  model.norm_bias = bias;
  model.biases = {bias, bias, bias, bias, bias, bias};
  return model;
}

// nanoGPT's name first, minGPT's second.
void accept_other_name(WeightSpec& spec) {
  std::string other = spec.sources.front();
  const auto replace = [&](std::string_view from, std::string_view to) {
    if (const auto at = other.find(from); at != std::string::npos) {
      other.replace(at, from.size(), to);
    }
  };
  replace("@h.", "@blocks.");
  replace("wte.", "tok_emb.");
  replace("wpe.", "pos_emb.");
  replace("lm_head.", "head.");
  if (other != spec.sources.front()) spec.sources.push_back(other);
}

WeightTable nanogpt_weights(const ModelConfig& model) {
  const std::int64_t d = model.width;
  WeightTable table;
  table.prefixes = {"transformer.", ""};
  table.add("embed.W_E", "@wte.weight", {model.vocab, d});
  table.add("pos_embed.W_pos", "@wpe.weight", {model.max_positions, d});
  add_norm(model, "blocks.*.ln1", "@h.*.ln_1", table);
  add_fused_attention(model, FusedLayout::stacked, "@h.*.attn.c_attn", "@h.*.attn.c_proj", table);
  add_norm(model, "blocks.*.ln2", "@h.*.ln_2", table);
  add_mlp(model, "@h.*.mlp.c_fc", "@h.*.mlp.c_proj", table);
  add_norm(model, "ln_final", "@ln_f", table);
  // Tied or not, the checkpoint holds the head under its own name.
  table.add("unembed.W_U", "lm_head.weight", {model.vocab, d});
  for (WeightSpec& spec : table.specs) accept_other_name(spec);
  table.ignore("*.attn.bias", "the causal mask, a constant");
  table.ignore("*.attn.mask", "the causal mask, a constant");
  return table;
}

}  // namespace

Family nanogpt_family() { return {"nanogpt", {"nanogpt"}, read_nanogpt, nanogpt_weights}; }

}  // namespace massact

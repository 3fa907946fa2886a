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
  fields.mlp_is_optional = true;
  fields.positions = {"block_size"};
  ModelConfig model = read_sizes(config, "nanogpt", fields);
  read_norm(config, NormKind::layer, "layer_norm_epsilon", 1e-5f, model);
  model.positions = PositionKind::learned;
  model.activation = read_activation(config, "activation", "gelu");
  model.gated_mlp = false;
  const bool bias = model.norm_bias = config.get_or<bool>("bias", true);
  model.biases = {bias, bias, bias, bias, bias, bias};
  return model;
}

WeightTable nanogpt_weights(const ModelConfig& model) {
  const std::int64_t d = model.width, f = model.mlp_size;
  const bool bias = model.biases.q;
  WeightTable table;
  table.prefixes = {"transformer.", ""};
  // nanoGPT's name first, minGPT's second.
  const auto add = [&](std::string canonical, std::string source, std::string other,
                       Shape shape) -> WeightSpec& {
    WeightSpec& spec = table.add(std::move(canonical), "@" + source, std::move(shape));
    spec.sources.push_back("@" + other);
    return spec;
  };
  const auto add_block = [&](const std::string& canonical, const std::string& source,
                             Shape shape) -> WeightSpec& {
    return add("blocks.*." + canonical, "h.*." + source, "blocks.*." + source, std::move(shape));
  };
  add("embed.W_E", "wte.weight", "tok_emb.weight", {model.vocab, d});
  add("pos_embed.W_pos", "wpe.weight", "pos_emb.weight", {model.max_positions, d});
  std::int64_t first = 0;
  for (const std::string part : {"Q", "K", "V"}) {
    add_block("attn.W_" + part, "attn.c_attn.weight", {3 * d, d}).part = {first, d};
    if (bias) add_block("attn.b_" + part, "attn.c_attn.bias", {3 * d}).part = {first, d};
    first += d;
  }
  add_block("attn.W_O", "attn.c_proj.weight", {d, d});
  add_block("mlp.W_in", "mlp.c_fc.weight", {f, d});
  add_block("mlp.W_out", "mlp.c_proj.weight", {d, f});
  if (bias) {
    add_block("attn.b_O", "attn.c_proj.bias", {d});
    add_block("mlp.b_in", "mlp.c_fc.bias", {f});
    add_block("mlp.b_out", "mlp.c_proj.bias", {d});
  }
  for (const std::string norm : {"1", "2"}) {
    add_block("ln" + norm + ".w", "ln_" + norm + ".weight", {d});
    if (bias) add_block("ln" + norm + ".b", "ln_" + norm + ".bias", {d});
  }
  table.add("ln_final.w", "@ln_f.weight", {d});
  if (bias) table.add("ln_final.b", "@ln_f.bias", {d});
  // Tied or not, the checkpoint holds the head under its own name.
  table.add("unembed.W_U", "lm_head.weight", {model.vocab, d}).sources.push_back("head.weight");
  table.ignore("*.attn.bias", "the causal mask, a constant");
  table.ignore("*.attn.mask", "the causal mask, a constant");
  return table;
}

}  // namespace

Family nanogpt_family() { return {"nanogpt", {"nanogpt"}, read_nanogpt, nanogpt_weights}; }

}  // namespace massact

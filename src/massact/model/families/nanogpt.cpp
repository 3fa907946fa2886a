// nanoGPT and its relatives (minGPT's names too): GPT-2 whose projections lie as [outputs, inputs]
// and which may do without biases. The options come from the checkpoint itself.
#include <cmath>

#include "massact/base/error.h"
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_nanogpt(const JsonObject& config) {
  ModelConfig model;
  model.family = "nanogpt";
  model.name = "nanogpt";
  model.layers = read_size(config, "n_layer", 10000);
  model.width = read_size(config, "n_embd");
  model.heads = model.kv_heads = read_size(config, "n_head");
  model.head_size = model.width / model.heads;
  require(model.head_size * model.heads == model.width, config.where("n_head"),
          "expected a divisor of n_embd {}, got {}", model.width, model.heads);
  model.mlp_size = 4 * model.width;
  model.vocab = read_size(config, "vocab_size");
  model.max_positions = read_size(config, "block_size");
  model.norm = NormKind::layer;
  model.norm_eps = 1e-5f;
  check_sizes(model, config);
  model.positions = PositionKind::learned;
  model.attention_scale = 1.0f / std::sqrt(static_cast<float>(model.head_size));
  model.activation = read_activation(config, "activation", "gelu");
  model.gated_mlp = false;
  const bool bias = config.get_or<bool>("bias", true);
  model.biases = {bias, bias, bias, bias, bias, bias};
  model.windows.assign(static_cast<std::size_t>(model.layers), 0);
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
    add_block("attn.W_" + part, "attn.c_attn.weight", {3 * d, d}).set_part(first, d);
    if (bias) add_block("attn.b_" + part, "attn.c_attn.bias", {3 * d}).set_part(first, d);
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

// GPT-2: LayerNorm, learned positions, fused query/key/value, tied embedding; projections lie as
// [inputs, outputs] (HF's Conv1D).
#include <cmath>

#include "massact/base/error.h"
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_gpt2(const JsonObject& config) {
  ModelConfig model;
  model.family = "gpt2";
  model.name = "gpt2";
  model.layers = read_size(config, "n_layer", 10000);
  model.width = read_size(config, "n_embd");
  model.heads = model.kv_heads = read_size(config, "n_head");
  model.head_size = model.width / model.heads;
  require(model.head_size * model.heads == model.width, config.where("n_head"),
          "expected a divisor of n_embd {}, got {}", model.width, model.heads);
  model.mlp_size = config.has("n_inner") ? read_size(config, "n_inner") : 4 * model.width;
  model.vocab = read_size(config, "vocab_size");
  model.max_positions = read_size(config, "n_positions");
  model.norm = NormKind::layer;
  model.norm_eps = config.get_or<float>("layer_norm_epsilon", 1e-5f);
  check_sizes(model, config);
  model.positions = PositionKind::learned;
  const bool scaled = config.get_or<bool>("scale_attn_weights", true);
  model.attention_scale = scaled ? 1.0f / std::sqrt(static_cast<float>(model.head_size)) : 1.0f;
  model.scale_by_inverse_layer = config.get_or<bool>("scale_attn_by_inverse_layer_idx", false);
  model.activation = read_activation(config, "activation_function", "gelu_new");
  model.gated_mlp = false;
  model.biases = {true, true, true, true, true, true};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", true);
  model.windows.assign(static_cast<std::size_t>(model.layers), 0);
  read_attention_variant(config, model);
  return model;
}

WeightTable gpt2_weights(const ModelConfig& model) {
  const std::int64_t d = model.width, f = model.mlp_size;
  WeightTable table;
  table.prefixes = {"transformer.", ""};
  const auto add_projection = [&](std::string canonical, std::string source, Shape in_out) {
    table.add(std::move(canonical), std::move(source), std::move(in_out)).layout =
        WeightLayout::in_out;
  };
  table.add("embed.W_E", "@wte.weight", {model.vocab, d});
  table.add("pos_embed.W_pos", "@wpe.weight", {model.max_positions, d});
  table.add("blocks.*.ln1.w", "@h.*.ln_1.weight", {d});
  table.add("blocks.*.ln1.b", "@h.*.ln_1.bias", {d});
  // Query, key and value are thirds of one projection.
  std::int64_t first = 0;
  for (const std::string part : {"Q", "K", "V"}) {
    auto& weight = table.add("blocks.*.attn.W_" + part, "@h.*.attn.c_attn.weight", {d, 3 * d});
    weight.layout = WeightLayout::in_out;
    weight.set_part(first, d);
    table.add("blocks.*.attn.b_" + part, "@h.*.attn.c_attn.bias", {3 * d}).set_part(first, d);
    first += d;
  }
  add_projection("blocks.*.attn.W_O", "@h.*.attn.c_proj.weight", {d, d});
  table.add("blocks.*.attn.b_O", "@h.*.attn.c_proj.bias", {d});
  table.add("blocks.*.ln2.w", "@h.*.ln_2.weight", {d});
  table.add("blocks.*.ln2.b", "@h.*.ln_2.bias", {d});
  add_projection("blocks.*.mlp.W_in", "@h.*.mlp.c_fc.weight", {d, f});
  table.add("blocks.*.mlp.b_in", "@h.*.mlp.c_fc.bias", {f});
  add_projection("blocks.*.mlp.W_out", "@h.*.mlp.c_proj.weight", {f, d});
  table.add("blocks.*.mlp.b_out", "@h.*.mlp.c_proj.bias", {d});
  table.add("ln_final.w", "@ln_f.weight", {d});
  table.add("ln_final.b", "@ln_f.bias", {d});
  add_variant_weights(model, "@h.*.attn.", table);
  table.ignore("*.attn.bias", "the causal mask, a constant");
  table.ignore("*.attn.masked_bias", "a constant of the mask");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family gpt2_family() { return {"gpt2", {"gpt2"}, read_gpt2, gpt2_weights}; }

}  // namespace massact

// GPT-2: LayerNorm, learned positions, fused query/key/value, tied embedding; projections lie as
// [inputs, outputs] (HF's Conv1D).
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_gpt2(const JsonObject& config) {
  SizeFields fields;
  fields.layers = {"n_layer"};
  fields.width = {"n_embd"};
  fields.heads = {"n_head"};
  fields.kv_heads = fields.head_size = {};
  fields.mlp = {"n_inner"};
  fields.positions = {"n_positions"};
  fields.mlp_is_optional = true;
  fields.default_positions = 1024;
  ModelConfig model = read_sizes(config, "gpt2", fields);
  read_norm(config, NormKind::layer, "layer_norm_epsilon", 1e-5f, model);
  model.positions = PositionKind::learned;
  if (!config.get_or<bool>("scale_attn_weights", true)) model.attention_scale = 1.0f;
  model.scale_by_inverse_layer = config.get_or<bool>("scale_attn_by_inverse_layer_idx", false);
  model.activation = read_activation(config, "activation_function", "gelu_new");
  model.gated_mlp = false;
  model.biases = {true, true, true, true, true, true};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", true);
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
  add_norm(model, "blocks.*.ln1", "@h.*.ln_1", table);
  // Query, key and value are thirds of one projection.
  std::int64_t first = 0;
  for (const std::string part : {"Q", "K", "V"}) {
    auto& weight = table.add("blocks.*.attn.W_" + part, "@h.*.attn.c_attn.weight", {d, 3 * d});
    weight.layout = WeightLayout::in_out;
    weight.part = {first, d};
    table.add("blocks.*.attn.b_" + part, "@h.*.attn.c_attn.bias", {3 * d}).part = {first, d};
    first += d;
  }
  add_projection("blocks.*.attn.W_O", "@h.*.attn.c_proj.weight", {d, d});
  table.add("blocks.*.attn.b_O", "@h.*.attn.c_proj.bias", {d});
  add_norm(model, "blocks.*.ln2", "@h.*.ln_2", table);
  add_projection("blocks.*.mlp.W_in", "@h.*.mlp.c_fc.weight", {d, f});
  table.add("blocks.*.mlp.b_in", "@h.*.mlp.c_fc.bias", {f});
  add_projection("blocks.*.mlp.W_out", "@h.*.mlp.c_proj.weight", {f, d});
  table.add("blocks.*.mlp.b_out", "@h.*.mlp.c_proj.bias", {d});
  add_norm(model, "ln_final", "@ln_f", table);
  add_variant_weights(model, "@h.*.attn.", table);
  table.ignore("*.attn.bias", "the causal mask, a constant");
  table.ignore("*.attn.masked_bias", "a constant of the mask");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family gpt2_family() { return {"gpt2", {"gpt2"}, read_gpt2, gpt2_weights}; }

}  // namespace massact

// GPT-J: LayerNorm, rotary positions on neighbouring pairs of a part of each head, attention and
// MLP in parallel behind one norm, an output head with a bias.
#include "massact/base/error.h"
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_gptj(const JsonObject& config) {
  SizeFields fields;
  fields.layers = {"n_layer"};
  fields.width = {"n_embd"};
  fields.heads = {"n_head"};
  fields.kv_heads = fields.head_size = {};
  fields.mlp = {"n_inner"};
  fields.positions = {"n_positions"};
  fields.mlp_is_optional = true;
  ModelConfig model = read_sizes(config, "gpt-j", fields);
  read_norm(config, NormKind::layer, "layer_norm_epsilon", 1e-5f, model);
  model.positions = PositionKind::rotary;
  model.rope.style = ops::RopeStyle::interleaved;
  model.rope.dims = config.get_or<std::int64_t>("rotary_dim", 64);
  require(model.rope.dims > 0 && model.rope.dims <= model.head_size && model.rope.dims % 2 == 0,
          config.where("rotary_dim"), "expected an even number from 2 to {}, got {}",
          model.head_size, model.rope.dims);
  model.order = BlockOrder::parallel_shared;
  model.activation = read_activation(config, "activation_function", "gelu_new");
  model.gated_mlp = false;
  model.biases = {.mlp_in = true, .mlp_out = true, .unembed = true};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  return model;
}

WeightTable gptj_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"transformer.", ""};
  table.add("embed.W_E", "@wte.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@h.*.ln_1", table);
  add_attention(model, "@h.*.attn.", "out_proj", table);
  add_mlp(model, "@h.*.mlp.fc_in", "@h.*.mlp.fc_out", table);
  add_norm(model, "ln_final", "@ln_f", table);
  table.ignore("*.attn.bias", "the causal mask, a constant");
  table.ignore("*.attn.masked_bias", "a constant of the mask");
  table.ignore("*.attn.embed_positions", "rotary tables are computed from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family gptj_family() { return {"gpt-j", {"gptj"}, read_gptj, gptj_weights}; }

}  // namespace massact

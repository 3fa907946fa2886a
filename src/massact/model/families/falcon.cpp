// Falcon: LayerNorm, query/key/value fused per group of heads. 7B: one key head, attention and MLP
// in parallel behind one norm; 40B: several key heads, a norm each; RW: ALiBi, one after the other.

#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

// How attention and MLP stand to each other, and how many key heads there are.
void read_architecture(const JsonObject& config, bool is_new, ModelConfig& model) {
  const bool multi_query = config.get_or<bool>("multi_query", true);
  if (!is_new) model.kv_heads = multi_query ? 1 : model.heads;
  if (is_new) {
    const auto norms = config.get_or<std::int64_t>("num_ln_in_parallel_attn", 2);
    model.order = norms == 2 ? BlockOrder::parallel : BlockOrder::parallel_shared;
  } else if (config.get_or<bool>("parallel_attn", true)) {
    model.order = BlockOrder::parallel_shared;
  }
}

// HF computes the biases in bf16, in whatever type the model runs.
void read_alibi(ModelConfig& model) {
  model.positions = PositionKind::alibi;
  model.alibi.slopes = alibi_slopes(model.heads);
  for (float& slope : model.alibi.slopes) slope = to_float(to_bfloat16(slope));
  model.alibi.in_bf16 = true;
  model.alibi.factor = model.attention_scale;
}

ModelConfig read_falcon(const JsonObject& config) {
  SizeFields fields;
  fields.layers = {"num_hidden_layers", "n_layer"};
  fields.width = {"hidden_size", "n_embed"};
  fields.heads = {"num_attention_heads", "n_head"};
  fields.kv_heads = {"num_kv_heads", "n_head_kv"};
  fields.head_size = {};
  fields.mlp = {"ffn_hidden_size"};
  fields.mlp_is_optional = true;
  ModelConfig model = read_sizes(config, "falcon", fields);
  read_norm(config, NormKind::layer, "layer_norm_epsilon", 1e-5f, model);
  // The first release of 40B has no field for it.
  const bool is_new = config.get_or<bool>("new_decoder_architecture", model.name == "RefinedWeb");
  read_architecture(config, is_new, model);
  if (config.get_or<bool>("alibi", false)) {
    read_alibi(model);
  } else {
    read_rotary(config, model);
  }
  model.activation = read_activation(config, "activation", "gelu");
  model.gated_mlp = false;
  const bool bias = config.get_or<bool>("bias", false);
  model.biases = {bias, bias, bias, bias, bias, bias};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", true);
  return model;
}

WeightTable falcon_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"transformer.", ""};
  const std::string attention = "@h.*.self_attention.";
  const bool two_norms = model.order == BlockOrder::parallel;
  table.add("embed.W_E", "@word_embeddings.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", two_norms ? "@h.*.ln_attn" : "@h.*.input_layernorm", table);
  add_fused_attention(model, FusedLayout::grouped, attention + "query_key_value",
                      attention + "dense", table);
  if (two_norms) add_norm(model, "blocks.*.ln2", "@h.*.ln_mlp", table);
  if (model.order == BlockOrder::sequential) {
    add_norm(model, "blocks.*.ln2", "@h.*.post_attention_layernorm", table);
  }
  add_mlp(model, "@h.*.mlp.dense_h_to_4h", "@h.*.mlp.dense_4h_to_h", table);
  add_norm(model, "ln_final", "@ln_f", table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  table.ignore("*.self_attention.rotary.inv_freq", "rotary frequencies come from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family falcon_family() {
  return {"falcon", {"falcon", "RefinedWeb", "RefinedWebModel"}, read_falcon, falcon_weights};
}

}  // namespace massact

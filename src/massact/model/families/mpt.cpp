// MPT: LayerNorm without biases, ALiBi, clamped query/key/value, no biases anywhere.
#include "massact/base/error.h"
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

void read_attention(const JsonObject& attention, ModelConfig& model) {
  require(attention.get_or<bool>("alibi", true), attention.where("alibi"),
          "expected true (HF's MPT has no other positions), got false");
  require(!attention.get_or<bool>("qk_ln", false), attention.where("qk_ln"),
          "expected false (HF's MPT has no norms on queries and keys), got true");
  require(!attention.get_or<bool>("prefix_lm", false), attention.where("prefix_lm"),
          "expected false (causal attention), got true");
  model.clip_qkv = attention.get_or<float>("clip_qkv", 0.0f);
  model.attention_scale = attention.get_or<float>("softmax_scale", model.attention_scale);
}

ModelConfig read_mpt(const JsonObject& config) {
  SizeFields fields;
  fields.layers = {"n_layers"};
  fields.width = {"d_model"};
  fields.heads = {"n_heads"};
  fields.kv_heads = fields.head_size = fields.mlp = {};
  fields.positions = {"max_seq_len"};
  ModelConfig model = read_sizes(config, "mpt", fields);
  require(config.get_or<std::int64_t>("expansion_ratio", 4) == 4, config.where("expansion_ratio"),
          "expected 4, as in every published MPT");
  read_norm(config, NormKind::layer, "layer_norm_epsilon", 1e-5f, model);
  model.norm_bias = false;
  model.positions = PositionKind::alibi;
  model.alibi.slopes = alibi_slopes(model.heads);  // as HF, whatever "alibi_bias_max" is
  if (config.has("attn_config")) read_attention(config.object("attn_config"), model);
  model.activation = ops::Activation::gelu;
  model.gated_mlp = false;
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", true);
  return model;
}

WeightTable mpt_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"transformer.", ""};
  table.add("embed.W_E", "@wte.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@blocks.*.norm_1", table);
  add_fused_attention(model, FusedLayout::stacked, "@blocks.*.attn.Wqkv", "@blocks.*.attn.out_proj",
                      table);
  add_norm(model, "blocks.*.ln2", "@blocks.*.norm_2", table);
  add_mlp(model, "@blocks.*.ffn.up_proj", "@blocks.*.ffn.down_proj", table);
  add_norm(model, "ln_final", "@norm_f", table);
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family mpt_family() { return {"mpt", {"mpt"}, read_mpt, mpt_weights}; }

}  // namespace massact

// BLOOM: LayerNorm (also on the embedding), ALiBi, query/key/value fused head by head.
#include "massact/base/error.h"
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_bloom(const JsonObject& config) {
  constexpr std::string_view kPostNorm = "apply_residual_connection_post_layernorm";
  SizeFields fields;
  fields.layers = {"n_layer", "num_hidden_layers"};
  fields.width = {"hidden_size", "n_embed"};
  fields.heads = {"n_head", "num_attention_heads"};
  fields.kv_heads = fields.head_size = fields.mlp = {};
  fields.positions = {"seq_length"};
  ModelConfig model = read_sizes(config, "bloom", fields);
  read_norm(config, NormKind::layer, "layer_norm_epsilon", 1e-5f, model);
  require(!config.get_or<bool>(kPostNorm, false), config.where(kPostNorm),
          "expected false (no published BLOOM adds normalised values to the stream), got true");
  model.positions = PositionKind::alibi;
  model.alibi.slopes = alibi_slopes(model.heads);
  model.embed_norm = true;
  model.activation = ops::Activation::gelu_tanh;
  model.gated_mlp = false;
  model.biases = {true, true, true, true, true, true};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", true);
  return model;
}

WeightTable bloom_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"transformer.", ""};
  const std::string attention = "@h.*.self_attention.";
  table.add("embed.W_E", "@word_embeddings.weight", {model.vocab, model.width});
  add_norm(model, "embed.ln", "@word_embeddings_layernorm", table);
  add_norm(model, "blocks.*.ln1", "@h.*.input_layernorm", table);
  add_fused_attention(model, FusedLayout::grouped, attention + "query_key_value",
                      attention + "dense", table);
  add_norm(model, "blocks.*.ln2", "@h.*.post_attention_layernorm", table);
  add_mlp(model, "@h.*.mlp.dense_h_to_4h", "@h.*.mlp.dense_4h_to_h", table);
  add_norm(model, "ln_final", "@ln_f", table);
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family bloom_family() { return {"bloom", {"bloom"}, read_bloom, bloom_weights}; }

}  // namespace massact

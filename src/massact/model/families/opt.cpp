// OPT: LayerNorm before each branch (350m: behind each sum), learned positions from row 2 on, ReLU;
// 350m's token vectors are shorter than the stream and projected on the way in and out.
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

constexpr std::int64_t kFirstPosition = 2;

ModelConfig read_opt(const JsonObject& config) {
  SizeFields fields;
  fields.kv_heads = fields.head_size = {};
  fields.mlp = {"ffn_dim"};
  ModelConfig model = read_sizes(config, "opt", fields);
  model.norm = NormKind::layer;
  model.norm_eps = 1e-5f;
  model.norm_weight = config.get_or<bool>("layer_norm_elementwise_affine", true);
  model.norm_bias = model.norm_weight;
  const bool before = config.get_or<bool>("do_layer_norm_before", true);
  model.norm_placement = before ? NormPlacement::before : NormPlacement::after_sum;
  model.final_norm = before && !config.get_or<bool>("_remove_final_layer_norm", false);
  model.positions = PositionKind::learned;
  model.position_offset = kFirstPosition;
  const std::int64_t size =
      config.has("word_embed_proj_dim") ? read_size(config, "word_embed_proj_dim") : model.width;
  if (size != model.width) model.embed_size = size;
  model.activation = read_activation(config, "activation_function", "relu");
  model.gated_mlp = false;
  const bool bias = config.get_or<bool>("enable_bias", true);
  model.biases = {bias, bias, bias, bias, bias, bias};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", true);
  return model;
}

WeightTable opt_weights(const ModelConfig& model) {
  const std::int64_t d = model.width, e = model.embed_size;
  WeightTable table;
  table.prefixes = {"model.decoder.", "decoder.", ""};
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, e > 0 ? e : d});
  if (e > 0) {
    table.add("embed.W_in", "@project_in.weight", {d, e});
    table.add("unembed.W_out", "@project_out.weight", {e, d});
  }
  table.add("pos_embed.W_pos", "@embed_positions.weight",
            {model.max_positions + model.position_offset, d});
  add_norm(model, "blocks.*.ln1", "@layers.*.self_attn_layer_norm", table);
  add_attention(model, "@layers.*.self_attn.", "out_proj", table);
  add_norm(model, "blocks.*.ln2", "@layers.*.final_layer_norm", table);
  add_mlp(model, "@layers.*.fc1", "@layers.*.fc2", table);
  if (model.final_norm) {
    add_norm(model, "ln_final", "@final_layer_norm", table);
    // Its name before transformers 4.20.
    also_named("ln_final.w", "@layer_norm.weight", table);
    also_named("ln_final.b", "@layer_norm.bias", table);
  }
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family opt_family() { return {"opt", {"opt"}, read_opt, opt_weights}; }

}  // namespace massact

// LLaMA 1/2/3, Mistral, Qwen2 and Qwen3: RMSNorm, rotary positions, gated MLP; the config says
// which biases and which sliding window.
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

void read_biases(const JsonObject& config, std::string_view type, ModelConfig& model) {
  if (type == "llama" || type == "qwen3") {
    const bool attention = config.get_or<bool>("attention_bias", false);
    const bool mlp = type == "llama" && config.get_or<bool>("mlp_bias", false);
    model.biases = {attention, attention, attention, attention, mlp, mlp};
  } else if (type == "qwen2") {
    model.biases = {.q = true, .k = true, .v = true};
  }
}

// Mistral's window is everywhere; Qwen's begins at a layer or follows "layer_types".
void read_sliding_windows(const JsonObject& config, std::string_view type, ModelConfig& model) {
  if (type == "llama" || !config.has("sliding_window")) return;
  if (type == "mistral") {
    return set_windows(
        read_size(config, "sliding_window"), [](std::int64_t) { return true; }, model);
  }
  if (!config.get_or<bool>("use_sliding_window", false)) return;
  const auto first = config.get_or<std::int64_t>("max_window_layers", 28);
  read_windows(
      config, read_size(config, "sliding_window"),
      [&](std::int64_t block) { return block >= first; }, model);
}

// Defaults are those of HF's configuration classes.
ModelConfig read_llama(const JsonObject& config) {
  const auto type = config.get<std::string>("model_type");
  SizeFields fields;
  if (type == "mistral") fields.default_kv_heads = 8;
  if (type == "qwen3") fields.default_head_size = 128;
  if (type != "llama") fields.default_positions = 32768;
  ModelConfig model = read_sizes(config, "llama", fields);
  read_norm(config, NormKind::rms, "rms_norm_eps", 1e-6f, model);
  read_rotary(config, model);
  model.activation = read_activation(config, "hidden_act", "silu");
  model.gated_mlp = true;
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  if (type == "qwen3") model.qk_norm = QkNorm::shared_by_heads;
  read_biases(config, type, model);
  read_sliding_windows(config, type, model);
  read_attention_variant(config, model);
  return model;
}

WeightTable llama_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"model.", ""};
  const std::string attention = "@layers.*.self_attn.", mlp = "@layers.*.mlp.";
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@layers.*.input_layernorm", table);
  add_attention(model, attention, "o_proj", table);
  add_qk_norms(model, attention + "q_norm", attention + "k_norm", table);
  add_norm(model, "blocks.*.ln2", "@layers.*.post_attention_layernorm", table);
  add_mlp(model, mlp + "up_proj", mlp + "down_proj", table, mlp + "gate_proj");
  add_norm(model, "ln_final", "@norm", table);
  add_variant_weights(model, attention, table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family llama_family() {
  return {"llama", {"llama", "mistral", "qwen2", "qwen3"}, read_llama, llama_weights};
}

}  // namespace massact

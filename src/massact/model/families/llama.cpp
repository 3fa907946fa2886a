// LLaMA 1/2/3, Mistral and Qwen2: RMSNorm, rotary positions, gated MLP; the config says which
// biases and which sliding window.
#include <cmath>

#include "massact/base/error.h"
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

void read_biases(const JsonObject& config, std::string_view type, ModelConfig& model) {
  if (type == "llama") {
    const bool attention = config.get_or<bool>("attention_bias", false);
    const bool mlp = config.get_or<bool>("mlp_bias", false);
    model.biases = {attention, attention, attention, attention, mlp, mlp};
  } else if (type == "qwen2") {
    model.biases = {.q = true, .k = true, .v = true};
  }
}

// Window per block. Newer configs list "layer_types"; older ones give max_window_layers (Qwen2).
void read_windows(const JsonObject& config, std::string_view type, ModelConfig& model) {
  model.windows.assign(static_cast<std::size_t>(model.layers), 0);
  const bool uses =
      type == "mistral" || (type == "qwen2" && config.get_or<bool>("use_sliding_window", false));
  if (!uses || !config.has("sliding_window")) return;
  const std::int64_t window = read_size(config, "sliding_window");
  const auto first = type == "qwen2" ? config.get_or<std::int64_t>("max_window_layers", 28) : 0;
  for (std::int64_t block = std::max<std::int64_t>(first, 0); block < model.layers; ++block) {
    model.windows[static_cast<std::size_t>(block)] = window;
  }
  if (type == "mistral" || !config.has("layer_types")) return;
  const auto types = config.get<std::vector<std::string>>("layer_types");
  require(static_cast<std::int64_t>(types.size()) == model.layers, config.where("layer_types"),
          "expected {} entries (num_hidden_layers), got {}", model.layers, types.size());
  for (std::size_t block = 0; block < types.size(); ++block) {
    model.windows[block] = types[block] == "sliding_attention" ? window : 0;
  }
}

// Defaults are those of HF's configuration classes.
ModelConfig read_llama(const JsonObject& config) {
  const auto type = config.get<std::string>("model_type");
  const auto size_or = [&](std::string_view name, std::int64_t otherwise) {
    return config.has(name) ? read_size(config, name) : otherwise;
  };
  ModelConfig model;
  model.family = "llama";
  model.name = type;
  model.layers = read_size(config, "num_hidden_layers", 10000);
  model.width = read_size(config, "hidden_size");
  model.heads = read_size(config, "num_attention_heads");
  model.kv_heads = size_or("num_key_value_heads", type == "mistral" ? 8 : model.heads);
  model.head_size = size_or("head_dim", model.width / model.heads);
  model.mlp_size = read_size(config, "intermediate_size");
  model.vocab = read_size(config, "vocab_size");
  model.max_positions = size_or("max_position_embeddings", type == "llama" ? 2048 : 32768);
  model.norm = NormKind::rms;
  model.norm_eps = config.get_or<float>("rms_norm_eps", 1e-6f);
  check_sizes(model, config);
  model.positions = PositionKind::rotary;
  model.rope = read_rope_config(config, model.head_size);
  if (model.rope.scaling == RopeScaling::dynamic) {  // its config gives the unscaled length
    require(model.rope.factor <= 1e4, config.where("rope_scaling"),
            "expected a factor of at most 10000, got {}", model.rope.factor);
    model.max_positions =
        static_cast<std::int64_t>(static_cast<double>(model.max_positions) * model.rope.factor);
  }
  model.attention_scale = 1.0f / std::sqrt(static_cast<float>(model.head_size));
  model.activation = read_activation(config, "hidden_act", "silu");
  model.gated_mlp = true;
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  read_biases(config, type, model);
  read_windows(config, type, model);
  read_attention_variant(config, model);
  return model;
}

WeightTable llama_weights(const ModelConfig& model) {
  const std::int64_t d = model.width, f = model.mlp_size;
  const std::int64_t q = model.heads * model.head_size, kv = model.kv_heads * model.head_size;
  const Biases& b = model.biases;
  WeightTable table;
  table.prefixes = {"model.", ""};
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, d});
  table.add("blocks.*.ln1.w", "@layers.*.input_layernorm.weight", {d});
  table.add("blocks.*.attn.W_Q", "@layers.*.self_attn.q_proj.weight", {q, d});
  table.add("blocks.*.attn.W_K", "@layers.*.self_attn.k_proj.weight", {kv, d});
  table.add("blocks.*.attn.W_V", "@layers.*.self_attn.v_proj.weight", {kv, d});
  table.add("blocks.*.attn.W_O", "@layers.*.self_attn.o_proj.weight", {d, q});
  if (b.q) table.add("blocks.*.attn.b_Q", "@layers.*.self_attn.q_proj.bias", {q});
  if (b.k) table.add("blocks.*.attn.b_K", "@layers.*.self_attn.k_proj.bias", {kv});
  if (b.v) table.add("blocks.*.attn.b_V", "@layers.*.self_attn.v_proj.bias", {kv});
  if (b.attn_out) table.add("blocks.*.attn.b_O", "@layers.*.self_attn.o_proj.bias", {d});
  table.add("blocks.*.ln2.w", "@layers.*.post_attention_layernorm.weight", {d});
  table.add("blocks.*.mlp.W_gate", "@layers.*.mlp.gate_proj.weight", {f, d});
  table.add("blocks.*.mlp.W_in", "@layers.*.mlp.up_proj.weight", {f, d});
  table.add("blocks.*.mlp.W_out", "@layers.*.mlp.down_proj.weight", {d, f});
  if (b.mlp_in) {
    table.add("blocks.*.mlp.b_gate", "@layers.*.mlp.gate_proj.bias", {f});
    table.add("blocks.*.mlp.b_in", "@layers.*.mlp.up_proj.bias", {f});
  }
  if (b.mlp_out) table.add("blocks.*.mlp.b_out", "@layers.*.mlp.down_proj.bias", {d});
  table.add("ln_final.w", "@norm.weight", {d});
  add_variant_weights(model, "@layers.*.self_attn.", table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family llama_family() {
  return {"llama", {"llama", "mistral", "qwen2"}, read_llama, llama_weights};
}

}  // namespace massact

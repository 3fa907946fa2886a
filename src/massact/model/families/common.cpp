#include "massact/model/families/common.h"

#include <array>

#include "massact/base/error.h"

namespace massact {

ops::Activation read_activation(const JsonObject& config, std::string_view field,
                                std::string_view otherwise) {
  using ops::Activation;
  static constexpr std::array<std::pair<std::string_view, Activation>, 9> kNames = {{
      {"gelu", Activation::gelu},
      {"gelu_new", Activation::gelu_tanh},
      {"gelu_fast", Activation::gelu_tanh},
      {"gelu_pytorch_tanh", Activation::gelu_tanh},
      {"quick_gelu", Activation::quick_gelu},
      {"silu", Activation::silu},
      {"swish", Activation::silu},
      {"relu", Activation::relu},
      {"relu2", Activation::relu_squared},
  }};
  const auto name = config.get_or<std::string>(field, std::string(otherwise));
  for (const auto& [known, activation] : kNames) {
    if (known == name) return activation;
  }
  fail(config.where(field), "expected gelu, gelu_new, quick_gelu, silu, relu or relu2, got '{}'",
       name);
}

std::int64_t read_size(const JsonObject& config, std::string_view name, std::int64_t most) {
  const auto value = config.get<std::int64_t>(name);
  require(value >= 1 && value <= most, config.where(name), "expected 1 to {}, got {}", most, value);
  return value;
}

void check_sizes(const ModelConfig& model, const JsonObject& config) {
  require(model.head_size >= 1, config.where("num_attention_heads"),
          "expected at most hidden_size {} heads, got {}", model.width, model.heads);
  require(model.heads % model.kv_heads == 0, config.where("num_key_value_heads"),
          "expected a divisor of {} query heads, got {}", model.heads, model.kv_heads);
  require(model.norm_eps >= 0, config.where("rms_norm_eps"), "expected at least 0, got {}",
          model.norm_eps);
}

void read_attention_variant(const JsonObject& config, ModelConfig& model) {
  if (!config.has("massact")) return;
  const JsonObject ours = config.object("massact");
  model.variant = parse_attention_variant(ours.get_or<std::string>("attention", "default"),
                                          ours.where("attention"));
  if (model.variant == AttentionVariant::clipped_softmax) {
    model.clip_gamma = ours.get<float>("gamma");
    model.clip_eta = ours.get<float>("eta");
  }
}

void add_unembedding(const ModelConfig& model, WeightTable& table) {
  if (model.tied_embeddings) {
    table.ignore("lm_head.weight", "tied to the embedding (tie_word_embeddings)");
  } else {
    table.add("unembed.W_U", "lm_head.weight", {model.vocab, model.width});
  }
}

void add_variant_weights(const ModelConfig& model, std::string_view attention, WeightTable& table) {
  const std::int64_t H = model.heads, G = model.kv_heads, c = model.head_size;
  const auto add = [&](std::string_view canonical, std::string_view source, Shape shape) {
    table.add("blocks.*.attn." + std::string(canonical),
              std::string(attention) + std::string(source), std::move(shape));
  };
  switch (model.variant) {
    case AttentionVariant::eab:
      add("eab_k", "eab_k", {G, c});
      add("eab_v", "eab_v", {G, c});
      break;
    case AttentionVariant::k_bias:
      add("eab_k", "eab_k", {G, c});
      break;
    case AttentionVariant::v_bias:
      add("eab_v", "eab_v", {G, c});
      break;
    case AttentionVariant::qkv_bias:
      add("v_bias", "v_bias", {G * c});
      [[fallthrough]];
    case AttentionVariant::qk_bias:
      add("q_bias", "q_bias", {H * c});
      add("k_bias", "k_bias", {G * c});
      break;
    case AttentionVariant::learned_sink:
      add("sinks", "sinks", {H});
      break;
    case AttentionVariant::gated:
      add("W_gate", "gate.weight", {H, model.width});
      break;
    case AttentionVariant::sink_token:
      table.add("sink_token", "@sink_token", {model.width});
      break;
    case AttentionVariant::standard:
    case AttentionVariant::softmax_off_by_one:
    case AttentionVariant::sigmoid:
    case AttentionVariant::clipped_softmax:
      break;
  }
}

}  // namespace massact

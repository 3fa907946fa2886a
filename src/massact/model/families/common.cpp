#include "massact/model/families/common.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "massact/base/error.h"

namespace massact {
namespace {

// The first of `names` that the config has, or "".
std::string_view present(const JsonObject& config, const FieldNames& names) {
  const auto found = std::find_if(names.begin(), names.end(),
                                  [&](std::string_view name) { return config.has(name); });
  return found == names.end() ? "" : *found;
}

}  // namespace

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

ModelConfig read_sizes(const JsonObject& config, std::string_view family,
                       const SizeFields& fields) {
  const auto size_or = [&](const FieldNames& names, std::int64_t otherwise) {
    const auto name = present(config, names);
    return name.empty() ? otherwise : read_size(config, name);
  };
  const auto size = [&](const FieldNames& names) {
    const auto name = present(config, names);
    return read_size(config, name.empty() ? names.front() : name);
  };
  ModelConfig model;
  model.family = family;
  model.name = config.get<std::string>("model_type");
  model.layers = size(fields.layers);
  require(model.layers <= 10000, config.where(fields.layers.front()),
          "expected at most 10000 layers, got {}", model.layers);
  model.width = size(fields.width);
  model.heads = size(fields.heads);
  model.kv_heads =
      size_or(fields.kv_heads, fields.default_kv_heads > 0 ? fields.default_kv_heads : model.heads);
  const std::int64_t share = model.width / model.heads;
  model.head_size =
      size_or(fields.head_size, fields.default_head_size > 0 ? fields.default_head_size : share);
  const bool widens = fields.mlp.empty() || fields.mlp_is_optional;
  model.mlp_size = widens ? size_or(fields.mlp, 4 * model.width) : size(fields.mlp);
  if (fields.has_vocab) model.vocab = read_size(config, "vocab_size");
  model.max_positions = size_or(fields.positions, fields.default_positions);
  const std::string_view heads = fields.heads.front();
  require(model.head_size >= 1, config.where(heads),
          "expected at most hidden_size {} heads, got {}", model.width, model.heads);
  require(!fields.head_size.empty() || share * model.heads == model.width, config.where(heads),
          "expected a divisor of the width {}, got {}", model.width, model.heads);
  require(model.heads % model.kv_heads == 0, config.where("num_key_value_heads"),
          "expected a divisor of {} query heads, got {}", model.heads, model.kv_heads);
  model.attention_scale = 1.0f / std::sqrt(static_cast<float>(model.head_size));
  model.windows.assign(static_cast<std::size_t>(model.layers), 0);
  return model;
}

void read_norm(const JsonObject& config, NormKind kind, std::string_view field, float otherwise,
               ModelConfig& model) {
  model.norm = kind;
  model.norm_bias = kind == NormKind::layer;
  model.norm_eps = config.get_or<float>(field, otherwise);
  require(model.norm_eps >= 0, config.where(field), "expected at least 0, got {}", model.norm_eps);
}

void read_rotary(const JsonObject& config, ModelConfig& model, const RopeFields& fields) {
  model.positions = PositionKind::rotary;
  model.rope = read_rope_config(config, model.head_size, fields);
  if (model.rope.scaling != RopeScaling::dynamic) return;
  // Its config gives the unscaled length.
  require(model.rope.factor <= 1e4, config.where("rope_scaling"),
          "expected a factor of at most 10000, got {}", model.rope.factor);
  model.max_positions =
      static_cast<std::int64_t>(static_cast<double>(model.max_positions) * model.rope.factor);
}

std::vector<float> alibi_slopes(std::int64_t heads) {
  const auto rounded = static_cast<std::int64_t>(
      std::bit_ceil(static_cast<std::uint64_t>(heads)));  // H', a power of two
  std::vector<float> slopes;
  const auto add = [&](std::int64_t first, std::int64_t step) {
    for (std::int64_t i = first; i <= rounded && std::ssize(slopes) < heads; i += step) {
      const double exponent = 8.0 * static_cast<double>(i) / static_cast<double>(rounded);
      slopes.push_back(static_cast<float>(std::exp2(-exponent)));
    }
  };
  if (rounded == heads) {
    add(1, 1);
  } else {  // those of half as many heads, then what lies between them
    add(2, 2);
    add(1, 2);
  }
  return slopes;
}

void set_windows(std::int64_t window, const std::function<bool(std::int64_t)>& slides,
                 ModelConfig& model) {
  for (std::int64_t block = 0; block < model.layers; ++block) {
    model.windows[static_cast<std::size_t>(block)] = slides(block) ? window : 0;
  }
}

void read_windows(const JsonObject& config, std::int64_t window,
                  const std::function<bool(std::int64_t)>& slides, ModelConfig& model) {
  if (!config.has("layer_types")) return set_windows(window, slides, model);
  const auto types = config.get<std::vector<std::string>>("layer_types");
  require(std::ssize(types) == model.layers, config.where("layer_types"),
          "expected {} entries (one per layer), got {}", model.layers, types.size());
  for (const std::string& type : types) {
    require(type == "sliding_attention" || type == "full_attention", config.where("layer_types"),
            "expected sliding_attention or full_attention, got '{}'", type);
  }
  set_windows(
      window,
      [&](std::int64_t block) {
        return types[static_cast<std::size_t>(block)] == "sliding_attention";
      },
      model);
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

void also_named(std::string_view canonical, std::string source, WeightTable& table) {
  for (WeightSpec& spec : table.specs) {
    if (spec.canonical == canonical) spec.sources.push_back(source);
  }
}

void add_norm(const ModelConfig& model, std::string canonical, std::string source,
              WeightTable& table) {
  if (model.norm_weight) table.add(canonical + ".w", source + ".weight", {model.width});
  if (model.norm_bias) table.add(canonical + ".b", source + ".bias", {model.width});
}

void add_linear(std::string canonical, const std::string& source, Shape out_in, bool bias,
                WeightTable& table, FusedPart part) {
  if (bias) {
    std::string name = canonical;
    name.replace(name.rfind(".W_"), 3, ".b_");
    table.add(std::move(name), source + ".bias", {out_in[0]}).part = part;
  }
  table.add(std::move(canonical), source + ".weight", std::move(out_in)).part = part;
}

void add_attention(const ModelConfig& model, const std::string& prefix, const std::string& out,
                   WeightTable& table) {
  const std::int64_t d = model.width, c = model.head_size;
  const std::int64_t q = model.heads * c, kv = model.kv_heads * c;
  add_linear("blocks.*.attn.W_Q", prefix + "q_proj", {q, d}, model.biases.q, table);
  add_linear("blocks.*.attn.W_K", prefix + "k_proj", {kv, d}, model.biases.k, table);
  add_linear("blocks.*.attn.W_V", prefix + "v_proj", {kv, d}, model.biases.v, table);
  add_linear("blocks.*.attn.W_O", prefix + out, {d, q}, model.biases.attn_out, table);
}

void add_fused_attention(const ModelConfig& model, FusedLayout layout, const std::string& qkv,
                         const std::string& out, WeightTable& table) {
  const std::int64_t d = model.width, c = model.head_size, G = model.kv_heads;
  const std::int64_t q = model.heads * c, kv = G * c;
  const std::int64_t shared = q / G, period = shared + 2 * c;  // of a group
  const bool stacked = layout == FusedLayout::stacked;
  const auto add = [&](const char* canonical, bool bias, FusedPart part) {
    add_linear(canonical, qkv, {q + 2 * kv, d}, bias, table, part);
  };
  add("blocks.*.attn.W_Q", model.biases.q,
      stacked ? FusedPart{0, q} : FusedPart{0, shared, period, G});
  add("blocks.*.attn.W_K", model.biases.k,
      stacked ? FusedPart{q, kv} : FusedPart{shared, c, period, G});
  add("blocks.*.attn.W_V", model.biases.v,
      stacked ? FusedPart{q + kv, kv} : FusedPart{shared + c, c, period, G});
  add_linear("blocks.*.attn.W_O", out, {d, q}, model.biases.attn_out, table);
}

void add_qk_norms(const ModelConfig& model, const std::string& q, const std::string& k,
                  WeightTable& table) {
  if (model.qk_norm == QkNorm::none) return;
  const std::int64_t c = model.head_size;
  const bool whole = model.qk_norm == QkNorm::whole;
  const auto add = [&](const char* canonical, const std::string& source, std::int64_t heads) {
    if (model.qk_norm == QkNorm::each_head) {  // one tensor per head
      for (std::int64_t head = 0; head < heads; ++head) {
        table.add(fmt::format("{}.{}.w", canonical, head),
                  fmt::format("{}.norms.{}.weight", source, head), {c});
      }
      return;
    }
    table.add(fmt::format("{}.w", canonical), source + ".weight", {whole ? heads * c : c});
    if (model.norm_bias) table.add(fmt::format("{}.b", canonical), source + ".bias", {c});
  };
  add("blocks.*.attn.q_norm", q, model.heads);
  add("blocks.*.attn.k_norm", k, model.kv_heads);
}

void add_mlp(const ModelConfig& model, const std::string& in, const std::string& out,
             WeightTable& table, const std::string& gate) {
  const std::int64_t d = model.width, f = model.mlp_size;
  const Biases& b = model.biases;
  if (!gate.empty()) add_linear("blocks.*.mlp.W_gate", gate, {f, d}, b.mlp_in, table);
  add_linear("blocks.*.mlp.W_in", in, {f, d}, b.mlp_in, table);
  add_linear("blocks.*.mlp.W_out", out, {d, f}, b.mlp_out, table);
}

void add_unembedding(const ModelConfig& model, WeightTable& table, const std::string& source) {
  if (model.tied_embeddings) {
    table.ignore("*" + source + ".weight", "tied to the embedding (tie_word_embeddings)");
  } else {
    const std::int64_t size = model.embed_size > 0 ? model.embed_size : model.width;
    table.add("unembed.W_U", source + ".weight", {model.vocab, size});
  }
  if (model.biases.unembed) table.add("unembed.b_U", source + ".bias", {model.vocab});
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

#include "massact/model/gguf_model.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "massact/base/error.h"
#include "massact/model/family.h"

namespace massact {
namespace {

using nlohmann::json;

// A field of an HF config and the metadata key (behind the architecture's name) that holds it.
struct Field {
  const char* config;
  const char* key;
  bool required = true;
};

template <typename T, std::size_t N>
void copy_fields(const GgufMetadata& metadata, const std::string& architecture,
                 const std::array<Field, N>& fields, json& config) {
  for (const Field& field : fields) {
    const std::string key = architecture + "." + field.key;
    if (field.required || metadata.has(key)) config[field.config] = metadata.get<T>(key);
  }
}

// GGUF does not have to give the vocabulary's size: it is the embedding's number of rows.
std::int64_t vocabulary(const GgufSource& source) {
  const Shape& shape = source.info("token_embd.weight").shape;
  require(shape.rank() == 2, source.metadata().where("token_embd.weight"),
          "expected a matrix, got {}", shape.to_string());
  return shape[0];
}

void add_rope_scaling(const GgufMetadata& metadata, const std::string& architecture, json& config) {
  const std::string prefix = architecture + ".rope.scaling.";
  const auto type = metadata.get_or<std::string>(prefix + "type", "none");
  if (type == "none") return;
  require(type == "linear" || type == "yarn", metadata.where(prefix + "type"),
          "expected none, linear or yarn, got '{}'", type);
  json scaling = {{"rope_type", type}, {"factor", metadata.get<double>(prefix + "factor")}};
  if (metadata.has(prefix + "original_context_length")) {
    scaling["original_max_position_embeddings"] =
        metadata.get<std::int64_t>(prefix + "original_context_length");
  }
  config["rope_scaling"] = scaling;
}

json llama_config(const GgufSource& source, const std::string& architecture) {
  static constexpr std::array<Field, 7> kSizes = {{
      {"num_hidden_layers", "block_count"},
      {"hidden_size", "embedding_length"},
      {"intermediate_size", "feed_forward_length"},
      {"num_attention_heads", "attention.head_count"},
      {"num_key_value_heads", "attention.head_count_kv", false},
      {"head_dim", "attention.key_length", false},
      {"max_position_embeddings", "context_length"},
  }};
  static constexpr std::array<Field, 2> kNumbers = {{
      {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
      {"rope_theta", "rope.freq_base", false},
  }};
  json config = {{"model_type", architecture}, {"vocab_size", vocabulary(source)}};
  copy_fields<std::int64_t>(source.metadata(), architecture, kSizes, config);
  copy_fields<double>(source.metadata(), architecture, kNumbers, config);
  add_rope_scaling(source.metadata(), architecture, config);
  config["tie_word_embeddings"] = source.find("output.weight") == nullptr;
  return config;
}

json gpt2_config(const GgufSource& source) {
  static constexpr std::array<Field, 5> kSizes = {{
      {"n_layer", "block_count"},
      {"n_embd", "embedding_length"},
      {"n_inner", "feed_forward_length"},
      {"n_head", "attention.head_count"},
      {"n_positions", "context_length"},
  }};
  static constexpr std::array<Field, 1> kNumbers = {
      {{"layer_norm_epsilon", "attention.layer_norm_epsilon"}}};
  json config = {{"model_type", "gpt2"}, {"vocab_size", vocabulary(source)}};
  copy_fields<std::int64_t>(source.metadata(), "gpt2", kSizes, config);
  copy_fields<double>(source.metadata(), "gpt2", kNumbers, config);
  config["tie_word_embeddings"] = source.find("output.weight") == nullptr;
  return config;
}

// llama.cpp's names: the same for all architectures.
std::string gguf_name(const WeightSpec& spec) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kNames = {{
      {"embed.W_E", "token_embd.weight"},
      {"pos_embed.W_pos", "position_embd.weight"},
      {"ln1.w", "attn_norm.weight"},
      {"ln1.b", "attn_norm.bias"},
      {"attn.W_O", "attn_output.weight"},
      {"attn.b_O", "attn_output.bias"},
      {"ln2.w", "ffn_norm.weight"},
      {"ln2.b", "ffn_norm.bias"},
      {"mlp.W_gate", "ffn_gate.weight"},
      {"mlp.W_in", "ffn_up.weight"},
      {"mlp.b_in", "ffn_up.bias"},
      {"mlp.W_out", "ffn_down.weight"},
      {"mlp.b_out", "ffn_down.bias"},
      {"ln_final.w", "output_norm.weight"},
      {"ln_final.b", "output_norm.bias"},
      {"unembed.W_U", "output.weight"},
  }};
  constexpr std::string_view kBlock = "blocks.*.";
  std::string_view rest = spec.canonical;
  std::string prefix;
  if (rest.starts_with(kBlock)) {
    rest.remove_prefix(kBlock.size());
    prefix = "blk.*.";
  }
  for (const auto& [canonical, name] : kNames) {
    if (rest == canonical) return prefix + std::string(name);
  }
  // attn.W_Q, attn.b_K, …: by themselves or parts of a fused projection.
  const std::string kind = rest.starts_with("attn.W_") ? ".weight" : ".bias";
  const bool fused = !spec.part.is_whole();
  const char letter = static_cast<char>(rest.back() - 'A' + 'a');
  return prefix + (fused ? std::string("attn_qkv") : std::string("attn_") + letter) + kind;
}

WeightTable gguf_table(const WeightTable& hf) {
  WeightTable table;
  for (WeightSpec spec : hf.specs) {
    spec.sources = {gguf_name(spec)};
    if (spec.layout == WeightLayout::in_out) {  // GPT-2's matrices are stored as everybody's
      spec.shape = {spec.shape[1], spec.shape[0]};
      spec.layout = WeightLayout::out_in;
    }
    table.specs.push_back(std::move(spec));
  }
  table.ignore("rope_freqs.weight", "read with the configuration");
  return table;
}

// Llama 3's scaling is stored as what its frequencies are divided by.
void apply_rope_factors(const GgufSource& source, RopeConfig& rope) {
  if (source.find("rope_freqs.weight") == nullptr) return;
  const std::int64_t count = source.info("rope_freqs.weight").shape.element_count();
  require(count == rope.dims / 2, source.metadata().where("rope_freqs.weight"),
          "expected {} factors (half the rotary size), got {}", rope.dims / 2, count);
  std::vector<float> factors(static_cast<std::size_t>(count));
  source.read("rope_freqs.weight", 0, count, factors.data());
  rope.scaling = RopeScaling::longrope;
  rope.short_factors.assign(factors.begin(), factors.end());
  rope.long_factors = rope.short_factors;
}

}  // namespace

GgufArchitecture read_gguf_architecture(const GgufSource& source) {
  const GgufMetadata& metadata = source.metadata();
  const auto architecture = metadata.get<std::string>("general.architecture");
  const std::string where = metadata.where("general.architecture");
  require(architecture == "llama" || architecture == "qwen2" || architecture == "gpt2", where,
          "unsupported architecture '{}' (supported in GGUF: gpt2, llama, qwen2)", architecture);
  const json config =
      architecture == "gpt2" ? gpt2_config(source) : llama_config(source, architecture);
  const Family& family = find_family(architecture, where);
  GgufArchitecture result;
  result.config = family.read_config(JsonObject(config, source.description()));
  result.table = gguf_table(family.weights(result.config));
  if (architecture == "llama") {
    // Its conversion reorders the rows of W_Q and W_K for rotary on neighbouring pairs.
    result.config.rope.style = ops::RopeStyle::interleaved;
  }
  if (result.config.positions == PositionKind::rotary) {
    apply_rope_factors(source, result.config.rope);
  }
  return result;
}

}  // namespace massact

#include "massact/model/gguf_config.h"

#include <array>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "massact/base/error.h"

namespace massact {
namespace {

using nlohmann::json;

// A field of an HF config and the metadata key (behind the architecture's name) that holds it.
struct Field {
  const char* config;
  const char* key;
  bool required = true;
};
using Fields = std::initializer_list<Field>;

// Copies metadata of one architecture into a config.
class ConfigWriter {
 public:
  ConfigWriter(const GgufSource& source, std::string architecture, std::string_view model_type)
      : source_(source), metadata_(source.metadata()), architecture_(std::move(architecture)) {
    config["model_type"] = model_type;
    config["vocab_size"] = rows("token_embd.weight");
    // The format's only statement made by a missing tensor.
    config["tie_word_embeddings"] = source.find("output.weight") == nullptr;
  }

  json config = json::object();

  const GgufSource& source() const { return source_; }
  std::string key(std::string_view name) const { return architecture_ + "." + std::string(name); }
  std::string where(std::string_view name) const { return metadata_.where(key(name)); }
  bool has(std::string_view name) const { return metadata_.has(key(name)); }

  template <typename T>
  T get(std::string_view name) const {
    return metadata_.get<T>(key(name));
  }
  template <typename T>
  void copy(Fields fields) {
    for (const Field& field : fields)
      if (field.required || has(field.key)) config[field.config] = get<T>(field.key);
  }

  // The size of a head: its own field, or the width's share.
  std::int64_t head_size() const {
    if (has("attention.key_length")) return get<std::int64_t>("attention.key_length");
    const auto heads = get<std::int64_t>("attention.head_count");
    require(heads > 0, where("attention.head_count"), "expected a positive number, got {}", heads);
    return get<std::int64_t>("embedding_length") / heads;
  }

  // The eps of the norms, which llama.cpp requires as well: there is no usual one.
  void require_norm_eps() const {
    require(has("attention.layer_norm_rms_epsilon") || has("attention.layer_norm_epsilon"),
            where("attention.layer_norm_rms_epsilon"), "expected the eps of the norms, got none");
  }

  // How much of a head is rotated, as HF's share `field`.
  void copy_rotary_share(const char* field) {
    if (!has("rope.dimension_count")) return;
    // Half a dimension more than there is, since HF rounds the product down.
    const auto dims = static_cast<double>(get<std::int64_t>("rope.dimension_count"));
    const auto size = static_cast<double>(head_size());
    config[field] = dims == size ? 1.0 : (dims + 0.5) / size;
  }

  void copy_rope_scaling() {
    // Files of 2023 give the factor alone, the first of them by its old name.
    const char* const old = "rope.scale_linear";
    const char* const factor =
        has("rope.scaling.factor") || !has(old) ? "rope.scaling.factor" : old;
    const bool scaled = has(factor) && get<double>(factor) != 0;
    const auto type =
        metadata_.get_or<std::string>(key("rope.scaling.type"), scaled ? "linear" : "none");
    if (type == "none") return;
    if (type == "longrope") return;  // by its tensors
    require(type == "linear" || type == "yarn", where("rope.scaling.type"),
            "expected none, linear, yarn or longrope, got '{}'", type);
    json scaling = {{"rope_type", type}, {"factor", get<double>(factor)}};
    if (has("rope.scaling.original_context_length"))
      scaling["original_max_position_embeddings"] =
          get<std::int64_t>("rope.scaling.original_context_length");
    for (const auto& [field, name] : {std::pair{"beta_fast", "rope.scaling.yarn_beta_fast"},
                                      std::pair{"beta_slow", "rope.scaling.yarn_beta_slow"}})
      if (has(name)) scaling[field] = get<double>(name);
    config["rope_scaling"] = scaling;
  }

  std::vector<float> values(const char* tensor) const {
    const std::int64_t count = source_.info(tensor).shape.element_count();
    require(count <= 65536, metadata_.where(tensor), "expected one factor per rotary pair, got {}",
            count);
    std::vector<float> factors(static_cast<std::size_t>(count));
    source_.read(tensor, 0, count, factors.data());
    return factors;
  }

 private:
  // GGUF does not have to give the vocabulary's size: it is the embedding's number of rows.
  std::int64_t rows(const char* tensor) const {
    const Shape& shape = source_.info(tensor).shape;
    require(shape.rank() == 2, metadata_.where(tensor), "expected a matrix, got {}",
            shape.to_string());
    return shape[0];
  }

  const GgufSource& source_;
  const GgufMetadata& metadata_;
  std::string architecture_;
};

// What most families name alike.
void copy_common(ConfigWriter& out) {
  out.copy<std::int64_t>({{"num_hidden_layers", "block_count"},
                          {"hidden_size", "embedding_length"},
                          {"intermediate_size", "feed_forward_length"},
                          {"num_attention_heads", "attention.head_count"},
                          {"num_key_value_heads", "attention.head_count_kv", false},
                          {"head_dim", "attention.key_length", false},
                          {"max_position_embeddings", "context_length"}});
  out.copy<double>({{"rms_norm_eps", "attention.layer_norm_rms_epsilon", false},
                    {"layer_norm_eps", "attention.layer_norm_epsilon", false},
                    {"rope_theta", "rope.freq_base", false}});
  out.require_norm_eps();
  // llama.cpp's default; HF's differs between families.
  if (!out.has("rope.freq_base")) out.config["rope_theta"] = 10000.0;
  out.copy_rotary_share("partial_rotary_factor");
  out.copy_rope_scaling();
}

void read_rms(ConfigWriter& out) { copy_common(out); }

void copy_experts(ConfigWriter& out, const char* count) {
  out.copy<std::int64_t>({{count, "expert_count"},
                          {"num_experts_per_tok", "expert_used_count"},
                          {"moe_intermediate_size", "expert_feed_forward_length", false}});
}

// LLaMA and Mistral; with experts Mixtral.
void read_llama(ConfigWriter& out) {
  copy_common(out);
  if (!out.has("expert_count") || out.get<std::int64_t>("expert_count") == 0) return;
  out.config["model_type"] = "mixtral";
  copy_experts(out, "num_local_experts");
}

void read_qwen2_moe(ConfigWriter& out) {
  copy_common(out);
  copy_experts(out, "num_experts");
  out.copy<std::int64_t>(
      {{"shared_expert_intermediate_size", "expert_shared_feed_forward_length"}});
}

void read_qwen3_moe(ConfigWriter& out) {
  copy_common(out);
  copy_experts(out, "num_experts");
  out.config["norm_topk_prob"] = true;  // as in every published one; the format does not say
}

void read_gpt_oss(ConfigWriter& out) {
  copy_common(out);
  copy_experts(out, "num_local_experts");
  out.copy<std::int64_t>({{"intermediate_size", "expert_feed_forward_length", false},
                          {"sliding_window", "attention.sliding_window"}});
  if (out.config.contains("rope_scaling")) out.config["rope_scaling"]["truncate"] = false;
}

void read_gpt2(ConfigWriter& out) {
  out.copy<std::int64_t>({{"n_layer", "block_count"},
                          {"n_embd", "embedding_length"},
                          {"n_inner", "feed_forward_length"},
                          {"n_head", "attention.head_count"},
                          {"n_positions", "context_length"}});
  out.copy<double>({{"layer_norm_epsilon", "attention.layer_norm_epsilon"}});
}

// 40B has two norms per block, which only its tensors say.
void read_falcon(ConfigWriter& out) {
  copy_common(out);
  const auto kv_heads = out.config.value("num_key_value_heads", std::int64_t{1});
  const bool two_norms = out.source().find("blk.0.attn_norm_2.weight") != nullptr;
  out.config["ffn_hidden_size"] = out.config["intermediate_size"];
  out.config["layer_norm_epsilon"] = out.get<double>("attention.layer_norm_epsilon");
  out.config["num_kv_heads"] = kv_heads;
  out.config["new_decoder_architecture"] = two_norms || kv_heads > 1;
  out.config["num_ln_in_parallel_attn"] = two_norms ? 2 : 1;
}

void read_mpt(ConfigWriter& out) {
  out.copy<std::int64_t>({{"n_layers", "block_count"},
                          {"d_model", "embedding_length"},
                          {"n_heads", "attention.head_count"},
                          {"max_seq_len", "context_length"}});
  out.copy<double>({{"layer_norm_epsilon", "attention.layer_norm_epsilon"}});
  constexpr const char* kBias = "attention.max_alibi_bias";
  constexpr double kUsual = 8.0;
  require(!out.has(kBias) || out.get<double>(kBias) == kUsual, out.where(kBias),
          "expected {}, as in every published MPT", kUsual);
  json attention = json::object();
  constexpr const char* kClamp = "attention.clamp_kqv";
  if (out.has(kClamp) && out.get<double>(kClamp) > 0)
    attention["clip_qkv"] = out.get<double>(kClamp);
  out.config["attn_config"] = attention;
}

void read_bloom(ConfigWriter& out) {
  out.copy<std::int64_t>({{"n_layer", "block_count"},
                          {"hidden_size", "embedding_length"},
                          {"n_head", "attention.head_count"},
                          {"seq_length", "context_length"}});
  out.copy<double>({{"layer_norm_epsilon", "attention.layer_norm_epsilon"}});
}

void read_gpt_neox(ConfigWriter& out) {
  copy_common(out);
  out.config.erase("partial_rotary_factor");
  out.copy_rotary_share("rotary_pct");
  out.copy<double>({{"rotary_emb_base", "rope.freq_base", false}});
  out.copy<bool>({{"use_parallel_residual", "use_parallel_residual", false}});
  out.config["attention_bias"] = out.source().find("blk.0.attn_qkv.bias") != nullptr;
}

// LongRoPE's factors are tensors; the length at which they change is metadata.
void read_phi3(ConfigWriter& out) {
  copy_common(out);
  out.copy<std::int64_t>({{"sliding_window", "attention.sliding_window", false}});
  if (out.config.value("sliding_window", std::int64_t{1}) == 0) out.config.erase("sliding_window");
  if (out.source().find("rope_factors_long.weight") == nullptr) return;
  json scaling = {{"rope_type", "longrope"},
                  {"long_factor", out.values("rope_factors_long.weight")},
                  {"short_factor", out.values("rope_factors_short.weight")},
                  {"original_max_position_embeddings",
                   out.get<std::int64_t>("rope.scaling.original_context_length")}};
  if (out.has("rope.scaling.attn_factor"))
    scaling["attention_factor"] = out.get<double>("rope.scaling.attn_factor");
  out.config["rope_scaling"] = scaling;
}

// The scale of the scores is a field in new files; llama.cpp knows it of the others: only the
// largest models (46 and 62 blocks) divide by another number than the head's size.
void copy_gemma_attention(ConfigWriter& out, std::int64_t layers_of_largest) {
  const std::int64_t head = out.head_size();
  const bool largest = out.config["num_hidden_layers"] == layers_of_largest;
  double scalar = static_cast<double>(head);
  if (largest)
    scalar =
        out.config["hidden_size"].get<double>() / out.config["num_attention_heads"].get<double>();
  if (out.has("attention.scale") && out.get<double>("attention.scale") > 0) {
    const auto scale = out.get<double>("attention.scale");
    scalar = 1.0 / (scale * scale);
  }
  out.config["query_pre_attn_scalar"] = scalar;
  out.copy<std::int64_t>({{"sliding_window", "attention.sliding_window", false}});
  out.copy<double>({{"attn_logit_softcapping", "attn_logit_softcapping", false},
                    {"final_logit_softcapping", "final_logit_softcapping", false}});
}

void read_gemma2(ConfigWriter& out) {
  copy_common(out);
  copy_gemma_attention(out, 46);
}

void read_gemma3(ConfigWriter& out) {
  copy_common(out);
  copy_gemma_attention(out, 62);
  out.config.erase("rope_theta");
  out.copy<double>({{"rope_theta", "rope.freq_base", false},
                    {"rope_local_base_freq", "rope.freq_base_swa", false}});
  out.copy<std::int64_t>({{"sliding_window_pattern", "attention.sliding_window_pattern", false}});
}

void read_olmo(ConfigWriter& out) {
  copy_common(out);
  constexpr const char* kClamp = "attention.clamp_kqv";
  if (out.has(kClamp) && out.get<double>(kClamp) > 0)
    out.config["clip_qkv"] = out.get<double>(kClamp);
}

void read_stablelm(ConfigWriter& out) {
  copy_common(out);
  out.copy<bool>({{"use_parallel_residual", "use_parallel_residual", false}});
  out.config["use_qkv_bias"] = out.source().find("blk.0.attn_q.bias") != nullptr;
  out.config["qk_layernorm"] = out.source().find("blk.0.attn_q_norm.weight") != nullptr;
}

void read_starcoder2(ConfigWriter& out) {
  copy_common(out);
  out.copy<double>({{"norm_epsilon", "attention.layer_norm_epsilon"}});
  out.copy<std::int64_t>({{"sliding_window", "attention.sliding_window", false}});
}

struct Architecture {
  std::string_view name;        // llama.cpp's
  std::string_view model_type;  // HF's
  void (*read)(ConfigWriter&);
};

constexpr auto kArchitectures =
    std::to_array<Architecture>({{"bloom", "bloom", read_bloom},
                                 {"falcon", "falcon", read_falcon},
                                 {"gemma", "gemma", read_rms},
                                 {"gemma2", "gemma2", read_gemma2},
                                 {"gemma3", "gemma3_text", read_gemma3},
                                 {"gpt-oss", "gpt_oss", read_gpt_oss},
                                 {"gpt2", "gpt2", read_gpt2},
                                 {"gptneox", "gpt_neox", read_gpt_neox},
                                 {"llama", "llama", read_llama},
                                 {"mpt", "mpt", read_mpt},
                                 {"olmo", "olmo", read_olmo},
                                 {"olmo2", "olmo2", read_rms},
                                 {"phi2", "phi", read_rms},
                                 {"phi3", "phi3", read_phi3},
                                 {"qwen2", "qwen2", read_rms},
                                 {"qwen2moe", "qwen2_moe", read_qwen2_moe},
                                 {"qwen3", "qwen3", read_rms},
                                 {"qwen3moe", "qwen3_moe", read_qwen3_moe},
                                 {"stablelm", "stablelm", read_stablelm},
                                 {"starcoder2", "starcoder2", read_starcoder2}});

}  // namespace

json gguf_config(const GgufSource& source) {
  const GgufMetadata& metadata = source.metadata();
  const auto name = metadata.get<std::string>("general.architecture");
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) {
      ConfigWriter out(source, name, architecture.model_type);
      architecture.read(out);
      return std::move(out.config);
    }
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  fail(metadata.where("general.architecture"),
       "unsupported architecture '{}' (supported in GGUF: {})", name, known);
}

}  // namespace massact

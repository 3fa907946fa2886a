#include "train/config.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "massact/base/error.h"
#include "massact/io/json.h"

namespace massact::train {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<Architecture, const char*>, 2> kArchitectures{{
    {Architecture::gpt2, "gpt2"},
    {Architecture::llama, "llama"},
}};

constexpr std::array<std::pair<Attention, const char*>, 12> kAttentions{{
    {Attention::standard, "default"},
    {Attention::eab, "eab"},
    {Attention::k_bias, "k-bias"},
    {Attention::v_bias, "v-bias"},
    {Attention::qk_bias, "qk-bias"},
    {Attention::qkv_bias, "qkv-bias"},
    {Attention::sink_token, "sink-token"},
    {Attention::softmax_off_by_one, "softmax-off-by-one"},
    {Attention::learned_sink, "learned-sink"},
    {Attention::gated, "gated"},
    {Attention::sigmoid, "sigmoid"},
    {Attention::clipped_softmax, "clipped-softmax"},
}};

template <typename Table, typename Value>
std::string name_of(const Table& table, Value value) {
  for (const auto& [known, name] : table) {
    if (known == value) return name;
  }
  fail("config", "unknown enumerator {}", static_cast<int>(value));
}

template <typename Table>
auto value_of(const Table& table, std::string_view text, std::string_view where) {
  std::string names;
  for (const auto& [value, name] : table) {
    if (text == name) return value;
    if (!names.empty()) names += ", ";
    names += std::string(name);
  }
  fail_usage(where, "expected one of {}, got \"{}\"", names, text);
}

void check(bool condition, std::string_view where, std::string_view expected, double got) {
  if (!condition) fail_usage(where, "expected {}, got {}", expected, got);
}

}  // namespace

std::string to_string(Architecture architecture) { return name_of(kArchitectures, architecture); }
std::string to_string(Attention attention) { return name_of(kAttentions, attention); }

Architecture parse_architecture(std::string_view text, std::string_view where) {
  return value_of(kArchitectures, text, where);
}

Attention parse_attention(std::string_view text, std::string_view where) {
  return value_of(kAttentions, text, where);
}

const std::vector<Attention>& all_attention_variants() {
  static const std::vector<Attention> all = [] {
    std::vector<Attention> list;
    for (const auto& [value, name] : kAttentions) list.push_back(value);
    return list;
  }();
  return all;
}

void validate(const ModelConfig& c) {
  check(c.layers >= 1, "--layers", "at least 1", double(c.layers));
  check(c.heads >= 1, "--heads", "at least 1", double(c.heads));
  check(c.width >= 1 && c.width % c.heads == 0, "--width", "a multiple of the heads",
        double(c.width));
  check(c.kv_heads >= 1 && c.heads % c.kv_heads == 0, "--kv-heads", "a divisor of the heads",
        double(c.kv_heads));
  check(c.mlp >= 1, "--mlp", "at least 1", double(c.mlp));
  check(c.vocab >= 2, "vocabulary", "at least 2 tokens", double(c.vocab));
  check(c.context >= 2, "--context", "at least 2", double(c.context));
  check(c.clip_gamma <= 0 && c.clip_gamma > -1, "--clip-gamma", "a value in (-1, 0]", c.clip_gamma);
  check(c.clip_eta >= 1, "--clip-eta", "at least 1", c.clip_eta);
  if (c.architecture == Architecture::gpt2) {
    check(c.kv_heads == c.heads, "--kv-heads", "the number of heads (gpt2 has no groups)",
          double(c.kv_heads));
    check(c.tied, "tied", "tied embeddings (gpt2 has no others)", 0);
  } else {
    check(c.head_size() % 2 == 0, "--width", "an even head size (rotary embedding)",
          double(c.head_size()));
  }
}

void validate(const TrainConfig& c) {
  check(c.steps >= 1, "--steps", "at least 1", double(c.steps));
  check(c.batch >= 1, "--batch", "at least 1", double(c.batch));
  check(c.accumulation >= 1, "--accumulation", "at least 1", double(c.accumulation));
  check(c.lr > 0, "--lr", "a positive number", c.lr);
  check(c.min_lr >= 0 && c.min_lr <= c.lr, "--min-lr", "a value in [0, lr]", c.min_lr);
  check(c.warmup >= 0, "--warmup", "at least 0", double(c.warmup));
  check(c.beta1 >= 0 && c.beta1 < 1, "--beta1", "a value in [0, 1)", c.beta1);
  check(c.beta2 >= 0 && c.beta2 < 1, "--beta2", "a value in [0, 1)", c.beta2);
  check(c.adam_eps > 0, "--adam-eps", "a positive number", c.adam_eps);
  check(c.weight_decay >= 0, "--weight-decay", "at least 0", c.weight_decay);
  check(c.clip >= 0, "--clip", "at least 0", c.clip);
  check(c.eval_sequences >= 1, "--eval-sequences", "at least 1", double(c.eval_sequences));
  check(c.eval_interval >= 1, "--eval-interval", "at least 1", double(c.eval_interval));
  check(c.monitor_interval >= 1, "--monitor-interval", "at least 1", double(c.monitor_interval));
  check(c.checkpoint_interval >= 1, "--checkpoint-interval", "at least 1",
        double(c.checkpoint_interval));
}

Json hf_config(const ModelConfig& c, std::string_view dtype, int bos_id) {
  Json json = {{"torch_dtype", dtype}, {"bos_token_id", bos_id}, {"vocab_size", c.vocab}};
  if (c.architecture == Architecture::gpt2) {
    json.update({{"architectures", {"GPT2LMHeadModel"}},
                 {"model_type", "gpt2"},
                 {"n_layer", c.layers},
                 {"n_head", c.heads},
                 {"n_embd", c.width},
                 {"n_inner", c.mlp},
                 {"n_positions", c.context},
                 {"activation_function", "gelu"},
                 {"layer_norm_epsilon", c.norm_eps},
                 {"attn_pdrop", 0.0},
                 {"embd_pdrop", 0.0},
                 {"resid_pdrop", 0.0}});
  } else {
    json.update({{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"num_hidden_layers", c.layers},
                 {"num_attention_heads", c.heads},
                 {"num_key_value_heads", c.kv_heads},
                 {"hidden_size", c.width},
                 {"intermediate_size", c.mlp},
                 {"max_position_embeddings", c.context},
                 {"hidden_act", "silu"},
                 {"rms_norm_eps", c.norm_eps},
                 {"rope_theta", c.rope_theta},
                 {"attention_bias", false},
                 {"mlp_bias", false}});
  }
  json["eos_token_id"] = nullptr;
  json["tie_word_embeddings"] = c.tied;
  json["massact"] = {{"attention", to_string(c.attention)}};
  if (c.attention == Attention::clipped_softmax) {
    json["massact"]["gamma"] = c.clip_gamma;
    json["massact"]["eta"] = c.clip_eta;
  }
  return json;
}

ModelConfig model_config_from_hf(const JsonObject& json) {
  ModelConfig c;
  c.architecture =
      parse_architecture(json.get<std::string>("model_type"), json.where("model_type"));
  const bool gpt2 = c.architecture == Architecture::gpt2;
  const auto integer = [&](const char* gpt2_name, const char* llama_name) {
    return json.get<std::int64_t>(gpt2 ? gpt2_name : llama_name);
  };
  c.layers = integer("n_layer", "num_hidden_layers");
  c.heads = integer("n_head", "num_attention_heads");
  c.kv_heads = integer("n_head", "num_key_value_heads");
  c.width = integer("n_embd", "hidden_size");
  c.mlp = integer("n_inner", "intermediate_size");
  c.context = integer("n_positions", "max_position_embeddings");
  c.vocab = json.get<std::int64_t>("vocab_size");
  c.norm_eps = json.get<double>(gpt2 ? "layer_norm_epsilon" : "rms_norm_eps");
  c.tied = json.get<bool>("tie_word_embeddings");
  if (!gpt2) c.rope_theta = json.get<double>("rope_theta");
  const JsonObject extra = json.object("massact");
  c.attention = parse_attention(extra.get<std::string>("attention"), extra.where("attention"));
  if (c.attention == Attention::clipped_softmax) {
    c.clip_gamma = extra.get<double>("gamma");
    c.clip_eta = extra.get<double>("eta");
  }
  validate(c);
  return c;
}

Json to_json(const TrainConfig& c) {
  return {{"steps", c.steps},
          {"batch", c.batch},
          {"accumulation", c.accumulation},
          {"lr", c.lr},
          {"min_lr", c.min_lr},
          {"warmup", c.warmup},
          {"beta1", c.beta1},
          {"beta2", c.beta2},
          {"adam_eps", c.adam_eps},
          {"weight_decay", c.weight_decay},
          {"clip", c.clip},
          {"seed", c.seed},
          {"bos", c.bos},
          {"bf16", c.bf16},
          {"eval_sequences", c.eval_sequences},
          {"eval_interval", c.eval_interval},
          {"monitor_interval", c.monitor_interval},
          {"checkpoint_interval", c.checkpoint_interval}};
}

}  // namespace massact::train

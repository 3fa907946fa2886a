#include "train/config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "massact/base/error.h"
#include "train/procedural.h"

namespace massact::train {
namespace {

constexpr std::int64_t kMaxRegisters = 1024;

constexpr std::array<std::pair<Architecture, const char*>, 3> kArchitectures{{
    {Architecture::gpt2, "gpt2"},
    {Architecture::llama, "llama"},
    {Architecture::vit, "vit"},
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

void validate_vit(const ModelConfig& c) {
  check(c.kv_heads == c.heads, "--kv-heads", "the number of heads (vit has no groups)",
        double(c.kv_heads));
  check(c.mlp % c.width == 0, "--mlp", "a multiple of the width (HF's mlp_ratio)", double(c.mlp));
  check(c.image_size >= kMinImageSize && c.image_size <= kMaxImageSize, "--image-size",
        fmt::format("{} to {} pixels", kMinImageSize, kMaxImageSize), double(c.image_size));
  check(c.patch >= 1 && c.image_size % c.patch == 0, "--patch", "a divisor of the image size",
        double(c.patch));
  check(c.registers >= 0 && c.registers <= kMaxRegisters, "--registers",
        fmt::format("0 to {}", kMaxRegisters), double(c.registers));
  check(std::isfinite(c.layer_scale), "--layer-scale", "a finite number", c.layer_scale);
  check(std::ssize(c.labels) == c.vocab, "id2label", "a name for every class",
        double(c.labels.size()));
  const auto& known = attention_variants(Architecture::vit);
  if (std::find(known.begin(), known.end(), c.attention) == known.end()) {
    fail_usage(
        "--attention", "expected a variant that vit has, got \"{}\" ({})", to_string(c.attention),
        c.attention == Attention::sink_token ? "use --registers" : "its projections have biases");
  }
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

const std::vector<Attention>& attention_variants(Architecture architecture) {
  static const std::vector<Attention> all = [] {
    std::vector<Attention> list;
    for (const auto& [value, name] : kAttentions) list.push_back(value);
    return list;
  }();
  static const std::vector<Attention> of_vit = [] {
    std::vector<Attention> list = all;
    for (const auto other : {Attention::sink_token, Attention::qk_bias, Attention::qkv_bias}) {
      list.erase(std::find(list.begin(), list.end(), other));
    }
    return list;
  }();
  return architecture == Architecture::vit ? of_vit : all;
}

void settle(ModelConfig& c) {
  if (c.architecture == Architecture::gpt2) c.tied = true;
  if (c.architecture != Architecture::vit) return;
  c.tied = false;
  c.kv_heads = c.heads;
  c.norm_eps = 1e-6;
}

void validate(const ModelConfig& c) {
  check(c.layers >= 1, "--layers", "at least 1", double(c.layers));
  check(c.heads >= 1, "--heads", "at least 1", double(c.heads));
  check(c.width >= 1 && c.width % c.heads == 0, "--width", "a multiple of the heads",
        double(c.width));
  check(c.kv_heads >= 1 && c.heads % c.kv_heads == 0, "--kv-heads", "a divisor of the heads",
        double(c.kv_heads));
  check(c.mlp >= 1, "--mlp", "at least 1", double(c.mlp));
  check(c.vocab >= 2, "vocabulary", "at least 2 tokens or classes", double(c.vocab));
  check(c.clip_gamma <= 0 && c.clip_gamma > -1, "--clip-gamma", "a value in (-1, 0]", c.clip_gamma);
  check(c.clip_eta >= 1, "--clip-eta", "at least 1", c.clip_eta);
  switch (c.architecture) {
    case Architecture::gpt2:
      check(c.kv_heads == c.heads, "--kv-heads", "the number of heads (gpt2 has no groups)",
            double(c.kv_heads));
      check(c.tied, "tied", "tied embeddings (gpt2 has no others)", 0);
      break;
    case Architecture::llama:
      check(c.head_size() % 2 == 0, "--width", "an even head size (rotary embedding)",
            double(c.head_size()));
      break;
    case Architecture::vit:
      return validate_vit(c);
  }
  check(c.context >= 2, "--context", "at least 2", double(c.context));
  check(c.registers == 0, "--registers", "0 (only vit has registers)", double(c.registers));
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

nlohmann::json to_json(const TrainConfig& c) {
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

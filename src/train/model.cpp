#include "train/model.h"

#include <cmath>
#include <string>
#include <utility>

#include "massact/base/error.h"
#include "train/attention.h"
#include "train/vit.h"

namespace massact::train {
namespace {

constexpr double kInitStd = 0.02;

bool is_gpt2(const ModelConfig& config) { return config.architecture == Architecture::gpt2; }

/// "transformer.h.3." or "model.layers.3."
std::string block(const ModelConfig& config, std::int64_t layer) {
  return (is_gpt2(config) ? "transformer.h." : "model.layers.") + std::to_string(layer) + ".";
}

std::string attention_prefix(const ModelConfig& config, std::int64_t layer) {
  return block(config, layer) + (is_gpt2(config) ? "attn." : "self_attn.");
}

std::string model_prefix(const ModelConfig& config) {
  return is_gpt2(config) ? "transformer." : "model.";
}

ParameterSpec norm_weight(std::string name, std::int64_t width) {
  return {std::move(name), {width}, 0.0, 1.0};
}

void add_gpt2_block(const ModelConfig& c, const std::string& at, std::vector<ParameterSpec>& list) {
  const double residual_std = kInitStd / std::sqrt(2.0 * double(c.layers));
  const auto d = c.width, f = c.mlp;
  // HF's Conv1D stores [in, out].
  list.push_back(norm_weight(at + "ln_1.weight", d));
  list.push_back({at + "attn.c_attn.weight", {d, 3 * d}, kInitStd});
  list.push_back({at + "attn.c_proj.weight", {d, d}, residual_std});
  list.push_back(norm_weight(at + "ln_2.weight", d));
  list.push_back({at + "mlp.c_fc.weight", {d, f}, kInitStd});
  list.push_back({at + "mlp.c_proj.weight", {f, d}, residual_std});
}

void add_llama_block(const ModelConfig& c, const std::string& at,
                     std::vector<ParameterSpec>& list) {
  const double residual_std = kInitStd / std::sqrt(2.0 * double(c.layers));
  const auto d = c.width, f = c.mlp, g = c.kv_heads * c.head_size();
  // nn.Linear stores [out, in].
  list.push_back(norm_weight(at + "input_layernorm.weight", d));
  list.push_back({at + "self_attn.q_proj.weight", {d, d}, kInitStd});
  list.push_back({at + "self_attn.k_proj.weight", {g, d}, kInitStd});
  list.push_back({at + "self_attn.v_proj.weight", {g, d}, kInitStd});
  list.push_back({at + "self_attn.o_proj.weight", {d, d}, residual_std});
  list.push_back(norm_weight(at + "post_attention_layernorm.weight", d));
  list.push_back({at + "mlp.gate_proj.weight", {f, d}, kInitStd});
  list.push_back({at + "mlp.up_proj.weight", {f, d}, kInitStd});
  list.push_back({at + "mlp.down_proj.weight", {d, f}, residual_std});
}

std::vector<ParameterSpec> text_parameters(const ModelConfig& c) {
  const auto d = c.width;
  std::vector<ParameterSpec> list;
  if (is_gpt2(c)) {
    list.push_back({"transformer.wte.weight", {c.vocab, d}, kInitStd});
    list.push_back({"transformer.wpe.weight", {c.context, d}, kInitStd});
  } else {
    list.push_back({"model.embed_tokens.weight", {c.vocab, d}, kInitStd});
    if (!c.tied) list.push_back({"lm_head.weight", {c.vocab, d}, kInitStd});
  }
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    if (is_gpt2(c)) {
      add_gpt2_block(c, block(c, layer), list);
    } else {
      add_llama_block(c, block(c, layer), list);
    }
  }
  list.push_back(norm_weight(is_gpt2(c) ? "transformer.ln_f.weight" : "model.norm.weight", d));
  // What a variant adds comes last, so that every variant starts from the same other weights.
  if (c.attention == Attention::sink_token) {
    list.push_back({model_prefix(c) + "sink_token", {d}, kInitStd});
  }
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    for (auto& spec : attention_parameters(c, attention_prefix(c, layer))) {
      list.push_back(std::move(spec));
    }
  }
  return list;
}

/// x [B,T,heads,c] turned by the angles of its positions; halves are paired as in HF's Llama:
/// (a, b) -> (a cos - b sin, b cos + a sin). `sin` carries the sign, so rolling by half is enough.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto T = x.size(1), half = x.size(3) / 2;
  const at::Tensor cosines = cos.narrow(0, 0, T).unsqueeze(1);  // T,1,c
  const at::Tensor sines = sin.narrow(0, 0, T).unsqueeze(1);
  return at::addcmul(x * cosines, at::roll(x, half, -1), sines);
}

}  // namespace

Model::Model(const ModelConfig& config, std::uint64_t seed, at::Device device, at::ScalarType dtype)
    : config_((validate(config), config)),
      parameters_(config.architecture == Architecture::vit ? vit_parameters(config)
                                                           : text_parameters(config),
                  seed, dtype, device) {
  if (config_.architecture != Architecture::llama) return;
  const auto half = config_.head_size() / 2;
  const at::Tensor frequency =
      at::pow(config_.rope_theta, at::arange(half, at::kDouble) * (-1.0 / double(half)));
  const at::Tensor angle = at::outer(at::arange(config_.context + 1, at::kDouble), frequency);
  const at::Tensor cos = at::cos(angle), sin = at::sin(angle);
  rotary_cos_ = at::cat({cos, cos}, 1).to(device, dtype);
  rotary_sin_ = at::cat({-sin, sin}, 1).to(device, dtype);
}

at::Tensor Model::norm(const at::Tensor& x, const std::string& name) const {
  const at::Tensor& weight = parameters_.at(name);
  if (is_gpt2(config_)) {
    return at::layer_norm(x, {config_.width}, weight, at::Tensor(), config_.norm_eps);
  }
  return x * at::rsqrt(at::mean(x * x, -1, true) + config_.norm_eps) * weight;
}

at::Tensor Model::attention(const at::Tensor& x, std::int64_t layer, at::Tensor* pattern) const {
  const std::string prefix = attention_prefix(config_, layer);
  const auto B = x.size(0), T = x.size(1), c = config_.head_size();
  const auto H = config_.heads, G = config_.kv_heads;
  // One product for q, k and v: on small models the number of calls decides.
  at::Tensor qkv;
  if (is_gpt2(config_)) {
    qkv = at::matmul(x, parameters_.at(prefix + "c_attn.weight"));
  } else {
    qkv = at::linear(x, at::cat({parameters_.at(prefix + "q_proj.weight"),
                                 parameters_.at(prefix + "k_proj.weight"),
                                 parameters_.at(prefix + "v_proj.weight")}));
  }
  qkv = qkv.view({B, T, H + 2 * G, c});
  at::Tensor qk = qkv.narrow(2, 0, H + G);
  at::Tensor v = qkv.narrow(2, H + G, G);
  add_projection_biases(config_, parameters_, prefix, qk, v);
  if (!is_gpt2(config_)) qk = rotate(qk, rotary_cos_, rotary_sin_);
  const Projections p{qk.narrow(2, 0, H), qk.narrow(2, H, G), v};
  const at::Tensor z = attend(config_, parameters_, prefix, p, x, pattern);
  if (is_gpt2(config_)) return at::matmul(z, parameters_.at(prefix + "c_proj.weight"));
  return at::linear(z, parameters_.at(prefix + "o_proj.weight"));
}

at::Tensor Model::mlp(const at::Tensor& x, std::int64_t layer) const {
  const std::string prefix = block(config_, layer) + "mlp.";
  if (is_gpt2(config_)) {
    const at::Tensor hidden = at::gelu(at::matmul(x, parameters_.at(prefix + "c_fc.weight")));
    return at::matmul(hidden, parameters_.at(prefix + "c_proj.weight"));
  }
  const auto gate_up = at::linear(x, at::cat({parameters_.at(prefix + "gate_proj.weight"),
                                              parameters_.at(prefix + "up_proj.weight")}))
                           .chunk(2, -1);
  return at::linear(at::silu(gate_up[0]) * gate_up[1], parameters_.at(prefix + "down_proj.weight"));
}

at::Tensor Model::embed(const at::Tensor& tokens) const {
  const auto B = tokens.size(0), T = tokens.size(1);
  require(T >= 1 && T <= config_.context, "model", "expected 1 to {} tokens, got {}",
          config_.context, T);
  at::Tensor x = at::embedding(
      parameters_.at(is_gpt2(config_) ? "transformer.wte.weight" : "model.embed_tokens.weight"),
      tokens);
  if (is_gpt2(config_)) x = x + parameters_.at("transformer.wpe.weight").narrow(0, 0, T);
  if (config_.attention == Attention::sink_token) {
    const at::Tensor& sink = parameters_.at(model_prefix(config_) + "sink_token");
    x = at::cat({sink.view({1, 1, -1}).expand({B, 1, config_.width}), x}, 1);
  }
  return x;
}

at::Tensor Model::text_logits(const at::Tensor& tokens, Trace* trace) const {
  const bool gpt2 = is_gpt2(config_);
  at::Tensor x = embed(tokens);
  if (trace != nullptr) trace->embedding = x.detach();
  for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
    const std::string at = block(config_, layer);
    at::Tensor pattern;
    x = x + attention(norm(x, at + (gpt2 ? "ln_1.weight" : "input_layernorm.weight")), layer,
                      trace != nullptr ? &pattern : nullptr);
    x = x + mlp(norm(x, at + (gpt2 ? "ln_2.weight" : "post_attention_layernorm.weight")), layer);
    if (trace != nullptr) {
      trace->residual.push_back(x.detach());
      trace->pattern.push_back(pattern);
    }
  }
  if (config_.attention == Attention::sink_token) x = x.narrow(1, 1, x.size(1) - 1);
  x = norm(x, gpt2 ? "transformer.ln_f.weight" : "model.norm.weight");
  if (gpt2) return at::linear(x, parameters_.at("transformer.wte.weight"));
  return at::linear(x,
                    parameters_.at(config_.tied ? "model.embed_tokens.weight" : "lm_head.weight"));
}

at::Tensor Model::logits(const at::Tensor& inputs, Trace* trace) const {
  if (config_.architecture == Architecture::vit) {
    return vit_logits(config_, parameters_, inputs, trace);
  }
  return text_logits(inputs, trace);
}

at::Tensor Model::loss(const at::Tensor& inputs, const at::Tensor& targets) const {
  return cross_entropy(logits(inputs), targets);
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets) {
  return at::cross_entropy_loss(logits.flatten(0, -2), targets.flatten());
}

}  // namespace massact::train

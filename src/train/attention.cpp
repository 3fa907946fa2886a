#include "train/attention.h"

#include <cmath>
#include <limits>

namespace massact::train {
namespace {

constexpr double kInitStd = 0.02;

/// [B,T,G,c] -> [B*H,T,c]: every key/value head repeated for its group of query heads.
at::Tensor per_query_head(const at::Tensor& t, std::int64_t heads) {
  const auto B = t.size(0), T = t.size(1), G = t.size(2), c = t.size(3);
  return t.permute({0, 2, 1, 3})
      .unsqueeze(2)
      .expand({B, G, heads / G, T, c})
      .reshape({B * heads, T, c});
}

/// [G,c] (or undefined: zeros) -> [B*H,1,c], the slot in front of keys or values `like` [B*H,T,c].
at::Tensor slot_like(const at::Tensor& like, const at::Tensor& slot, std::int64_t heads) {
  const auto n = like.size(0), c = like.size(2);
  if (!slot.defined()) return at::zeros({n, 1, c}, like.options());
  const auto B = n / heads, G = slot.size(0);
  return slot.to(like.scalar_type())
      .view({1, G, 1, 1, c})
      .expand({B, G, heads / G, 1, c})
      .reshape({n, 1, c});
}

/// [T,T]: 0 where the key is not after the query, -inf elsewhere.
at::Tensor causal_mask(std::int64_t T, const at::TensorOptions& options) {
  return at::full({T, T}, -std::numeric_limits<double>::infinity(), options).triu_(1);
}

}  // namespace

bool has_slot(Attention attention) {
  return attention == Attention::eab || attention == Attention::k_bias ||
         attention == Attention::softmax_off_by_one || attention == Attention::learned_sink;
}

std::vector<ParameterSpec> attention_parameters(const ModelConfig& config,
                                                const std::string& prefix) {
  const auto H = config.heads, G = config.kv_heads, c = config.head_size(), d = config.width;
  const ParameterSpec key{prefix + "eab_k", {G, c}, kInitStd};
  const ParameterSpec value{prefix + "eab_v", {G, c}, kInitStd};
  const ParameterSpec q_bias{prefix + "q_bias", {H * c}};
  const ParameterSpec k_bias{prefix + "k_bias", {G * c}};
  const ParameterSpec v_bias{prefix + "v_bias", {G * c}};
  switch (config.attention) {
    case Attention::eab:
      return {key, value};
    case Attention::k_bias:
      return {key};
    case Attention::v_bias:
      return {value};
    case Attention::qk_bias:
      return {q_bias, k_bias};
    case Attention::qkv_bias:
      return {q_bias, k_bias, v_bias};
    case Attention::learned_sink:
      return {{prefix + "sinks", {H}}};
    case Attention::gated:
      return {{prefix + "gate.weight", {H, d}, kInitStd}};
    case Attention::standard:
    case Attention::sink_token:  // one vector of the model, not of a layer
    case Attention::softmax_off_by_one:
    case Attention::sigmoid:
    case Attention::clipped_softmax:
      return {};
  }
  return {};
}

void add_projection_biases(const ModelConfig& config, const Parameters& parameters,
                           const std::string& prefix, at::Tensor& qk, at::Tensor& v) {
  if (config.attention != Attention::qk_bias && config.attention != Attention::qkv_bias) return;
  const auto bias = [&](const char* name) {
    return parameters.at(prefix + name).view({-1, config.head_size()});
  };
  qk = qk + at::cat({bias("q_bias"), bias("k_bias")});
  if (config.attention == Attention::qkv_bias) v = v + bias("v_bias");
}

at::Tensor attend(const ModelConfig& config, const Parameters& parameters,
                  const std::string& prefix, const Projections& p, const at::Tensor& x,
                  at::Tensor* pattern) {
  const Attention variant = config.attention;
  const auto B = p.q.size(0), T = p.q.size(1), H = config.heads, c = config.head_size();
  const auto learned = [&](const char* name) {
    return parameters.contains(prefix + name) ? parameters.at(prefix + name) : at::Tensor();
  };
  at::Tensor q = p.q.transpose(1, 2).reshape({B * H, T, c});
  at::Tensor k = per_query_head(p.k, H);
  at::Tensor v = per_query_head(p.v, H);
  const bool causal = config.architecture != Architecture::vit;
  at::Tensor mask = causal ? causal_mask(T, q.options()) : at::zeros({T, T}, q.options());
  mask = mask.unsqueeze(0);  // 1,T,S

  if (has_slot(variant)) {  // a key and a value in front of all others, seen by every query
    k = at::cat({slot_like(k, learned("eab_k"), H), k}, 1);
    v = at::cat({slot_like(v, learned("eab_v"), H), v}, 1);
    at::Tensor logit = at::zeros({1, T, 1}, mask.options());
    if (variant == Attention::learned_sink) {
      logit = learned("sinks").to(mask.scalar_type()).view({1, H, 1, 1});
      logit = logit.expand({B, H, T, 1}).reshape({B * H, T, 1});
    }
    mask = at::cat({logit, mask.expand({logit.size(0), T, T})}, 2);
  }
  const auto S = k.size(1);
  at::Tensor probability = at::baddbmm(mask.expand({B * H, T, S}), q, k.transpose(1, 2), 1.0,
                                       1.0 / std::sqrt(double(c)));
  if (variant == Attention::sigmoid) {
    probability = at::sigmoid(probability);  // no normalisation; exp(-inf) masks
  } else {
    probability = at::softmax(probability, -1);
  }
  if (variant == Attention::clipped_softmax) {
    probability = at::clamp(probability * (config.clip_eta - config.clip_gamma) + config.clip_gamma,
                            0.0, 1.0);
  }
  if (pattern != nullptr) *pattern = probability.detach().view({B, H, T, S});
  at::Tensor z = at::bmm(probability, v).view({B, H, T, c}).transpose(1, 2);  // B,T,H,c

  if (variant == Attention::v_bias) {
    const at::Tensor bias = learned("eab_v");
    const auto G = config.kv_heads;
    z = z + bias.view({G, 1, c}).expand({G, H / G, c}).reshape({H, c});
  }
  if (variant == Attention::gated) {
    z = z * at::sigmoid(at::matmul(x, learned("gate.weight").t())).unsqueeze(-1);
  }
  return z.reshape({B, T, H * c});
}

}  // namespace massact::train

// GPT-2 and Llama as functions of their parameters. Names and layouts of the parameters are those
// of HF's checkpoints, so that saving is copying.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "train/config.h"
#include "train/parameters.h"

namespace massact::train {

/// What the monitor looks at; filled by `Model::logits` when asked for.
struct Trace {
  std::vector<at::Tensor> residual;  // per layer B,T,d: the residual stream after the block
  std::vector<at::Tensor> pattern;   // per layer B,H,T,S: attention probabilities
};

class Model {
 public:
  /// A freshly initialised model: normal(0, 0.02), residual projections 0.02/sqrt(2 layers).
  Model(const ModelConfig& config, std::uint64_t seed, at::Device device = at::kCPU,
        at::ScalarType dtype = at::kFloat);

  /// `tokens` [B,T] int64 with T <= context -> logits [B,T,vocab]. With a sink token the trace has
  /// T+1 positions, the sink first.
  at::Tensor logits(const at::Tensor& tokens, Trace* trace = nullptr) const;

  /// Mean cross-entropy in nats of `targets` [B,T].
  at::Tensor loss(const at::Tensor& tokens, const at::Tensor& targets) const;

  const ModelConfig& config() const { return config_; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }

 private:
  at::Tensor norm(const at::Tensor& x, const std::string& name) const;
  at::Tensor attention(const at::Tensor& x, std::int64_t layer, at::Tensor* pattern) const;
  at::Tensor mlp(const at::Tensor& x, std::int64_t layer) const;
  at::Tensor embed(const at::Tensor& tokens) const;

  ModelConfig config_;
  Parameters parameters_;
  at::Tensor rotary_cos_;  // context+1, c (llama)
  at::Tensor rotary_sin_;  // the first half negated
};

}  // namespace massact::train

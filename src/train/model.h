// Models as functions of their parameters: GPT-2 and Llama here, the vision transformer in vit.h.
// Names and layouts of the parameters are those of HF's checkpoints, so that saving is copying.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "train/config.h"
#include "train/parameters.h"

namespace massact::train {

/// What the monitor looks at; filled by `Model::logits` when asked for.
struct Trace {
  at::Tensor embedding;              // B,T,d: the first block's input
  std::vector<at::Tensor> residual;  // per layer B,T,d: the residual stream after the block
  std::vector<at::Tensor> pattern;   // per layer B,H,T,S: attention probabilities
};

class Model {
 public:
  /// A freshly initialised model: normal(0, 0.02), residual projections 0.02/sqrt(2 layers).
  Model(const ModelConfig& config, std::uint64_t seed, at::Device device = at::kCPU,
        at::ScalarType dtype = at::kFloat);

  /// Tokens [B,T] int64 with T <= context -> logits [B,T,vocab]. With a sink token the trace has
  /// T+1 positions, the sink first. A vit takes pixels [B,3,S,S] and gives logits [B,classes].
  at::Tensor logits(const at::Tensor& inputs, Trace* trace = nullptr) const;

  /// Mean cross-entropy in nats of `targets` ([B,T]; vit: [B]).
  at::Tensor loss(const at::Tensor& inputs, const at::Tensor& targets) const;

  const ModelConfig& config() const { return config_; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }

 private:
  at::Tensor norm(const at::Tensor& x, const std::string& name) const;
  at::Tensor attention(const at::Tensor& x, std::int64_t layer, at::Tensor* pattern) const;
  at::Tensor mlp(const at::Tensor& x, std::int64_t layer) const;
  at::Tensor embed(const at::Tensor& tokens) const;
  at::Tensor text_logits(const at::Tensor& tokens, Trace* trace) const;

  ModelConfig config_;
  Parameters parameters_;
  at::Tensor rotary_cos_;  // context+1, c (llama)
  at::Tensor rotary_sin_;  // the first half negated
};

/// Mean cross-entropy in nats; `logits` have one dimension more than `targets`.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets);

}  // namespace massact::train

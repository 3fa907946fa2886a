// The attention variants, side by side. What each means: docs/attention-variants.md.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "train/config.h"
#include "train/parameters.h"

namespace massact::train {

/// The extra parameters of `config.attention` in one layer; names begin with `prefix` ("….attn.").
std::vector<ParameterSpec> attention_parameters(const ModelConfig& config,
                                                const std::string& prefix);

/// Projections of one layer. B sequences, T positions, H query heads, G key/value heads, c head
/// size.
struct Projections {
  at::Tensor q;  // B,T,H,c
  at::Tensor k;  // B,T,G,c
  at::Tensor v;  // B,T,G,c
};

/// Adds the learned projection biases of `qk-bias` and `qkv-bias` to `qk` [B,T,H+G,c] and `v`
/// [B,T,G,c]; to be called before rotary.
void add_projection_biases(const ModelConfig& config, const Parameters& parameters,
                           const std::string& prefix, at::Tensor& qk, at::Tensor& v);

/// Attention of the configured variant, causal but for vit. `x` [B,T,d] is the block's input after
/// its norm (the gate reads it). Returns z [B,T,H*c]. If `pattern` is not null it receives the
/// probabilities [B,H,T,S], S = T or T+1 with the slot in column 0.
at::Tensor attend(const ModelConfig& config, const Parameters& parameters,
                  const std::string& prefix, const Projections& p, const at::Tensor& x,
                  at::Tensor* pattern);

/// True if `attention` has an explicit slot (column 0 of the pattern).
bool has_slot(Attention attention);

}  // namespace massact::train

// Layer normalisation in its two kinds. Statistics in double, one row at a time.
#pragma once

#include <span>

#include "massact/base/threads.h"
#include "massact/tensor/tensor.h"

namespace massact::ops {

/// Where a norm puts what sites show; views without data are not written.
struct NormOutputs {
  FloatMatrix out;           ///< [m, d] after weight and bias (required)
  FloatMatrix normalized{};  ///< [m, d] before weight and bias
  float* scale = nullptr;    ///< [m] the divisor
};

struct NormOptions {
  bool subtract_mean = false;  ///< LayerNorm (true) or RMSNorm (false; arXiv 1910.07467)
  float eps = 1e-5f;
  float weight_offset = 0.0f;       ///< 1 for Gemma's (1 + w)
  std::span<const float> weight{};  ///< [d], or empty: none
  std::span<const float> bias{};    ///< [d], or empty: none
};

/// scale = sqrt(mean((x - μ)²) + eps) with μ = 0 for RMSNorm; normalized = (x - μ) / scale;
/// out = normalized * (weight + weight_offset) + bias. `x` and `out` may be the same memory.
void norm(ConstFloatMatrix x, const NormOptions& options, const NormOutputs& outputs,
          Threads& threads);

/// The last step of `norm` alone: out = normalized * (weight + weight_offset) + bias.
/// Used when `normalized` was edited.
void norm_affine(ConstFloatMatrix normalized, const NormOptions& options, FloatMatrix out,
                 Threads& threads);

}  // namespace massact::ops

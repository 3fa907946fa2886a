// What a head reads of a whole sequence.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "massact/model/model.h"
#include "massact/model/norm_layer.h"
#include "massact/ops/matmul.h"

namespace massact {

/// Reduces a sequence's rows to what the head's projection reads. Immutable; thread-safe.
class Pooler {
 public:
  /// Reads the weights that the model's way of pooling has.
  Pooler(const Model& model, ops::Precision precision, Threads& threads);

  /// Of normed [T, d], the final norm's output without the sink token's row, and the T tokens' ids
  /// (images: unused): a row of pooled_width(config) values.
  std::vector<float> pool(ConstFloatMatrix normed, std::span<const std::int32_t> tokens,
                          Threads& threads) const;

 private:
  std::vector<float> attend(ConstFloatMatrix normed, Threads& threads) const;

  Model model_;
  NormWeights norm_;  // of what was pooled, if the model normalises that
  // Attention pooling: the learned query, attention's projections, an MLP behind a norm.
  std::vector<float> probe_, q_bias_, kv_bias_, out_bias_, mlp_in_bias_, mlp_out_bias_;
  ops::PackedMatrix q_, kv_, out_, mlp_in_, mlp_out_;
  NormWeights mlp_norm_;
};

/// Length of what a Pooler gives.
std::int64_t pooled_width(const ModelConfig& config);

}  // namespace massact

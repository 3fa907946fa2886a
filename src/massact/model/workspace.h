// The memory of a running block.
#pragma once

#include <cstdint>

#include "massact/model/config.h"
#include "massact/model/stage_times.h"
#include "massact/ops/attention_sums.h"
#include "massact/tensor/tensor.h"

namespace massact {

/// Memory that block calls reuse, and where their time went. One per thread of control.
struct Workspace {
  Buffer<float> normed, normalized, scale, qkv, z, out, mlp, gates, maps, expert_in, expert_out;
  Buffer<float> row_bias, column_bias, slot_logits;  // of attention on a grid
  ops::AttentionSums sums;
  StageTimes times;

  /// `buffer` as a matrix, grown if need be; what it held is lost.
  static FloatMatrix take(Buffer<float>& buffer, std::int64_t rows, std::int64_t cols) {
    buffer.reserve_discarding(rows * cols);
    return {buffer.data(), rows, cols};
  }

  /// Bytes that a batch of `rows` rows needs (without attention maps).
  static std::uint64_t bytes_for(const ModelConfig& config, std::int64_t rows);
  /// More of them for attention's sums.
  static std::uint64_t sums_bytes_for(const ModelConfig& config, std::int64_t rows);
};

}  // namespace massact

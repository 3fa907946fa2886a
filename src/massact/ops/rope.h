// Rotary position embedding (arXiv 2104.09864).
#pragma once

#include <span>

#include "massact/base/threads.h"
#include "massact/tensor/tensor.h"

namespace massact::ops {

/// Which two elements of a head form a rotated pair.
enum class RopeStyle : std::uint8_t {
  half,        ///< (i, i + r/2): HF's Llama, NeoX
  interleaved  ///< (2i, 2i + 1): GPT-J, llama2.c, the original paper
};

/// cos and sin for positions 0 … positions-1, each [positions, r/2].
/// Angles are rounded to f32 before the cosine, as HF does, so that long texts agree with it.
struct RopeTable {
  std::int64_t positions = 0;
  std::int64_t pairs = 0;  ///< r/2
  Buffer<float> cos;
  Buffer<float> sin;

  RopeTable() = default;
  /// `factor` multiplies cos and sin (the attention factor of YaRN and LongRoPE).
  RopeTable(std::span<const float> inverse_frequencies, float factor, std::int64_t positions);
};

/// Rotates the first 2 * table.pairs elements of each head of x [T, heads * head_size] in place;
/// row t has position first_position + t.
void rope(FloatMatrix x, std::int64_t heads, std::int64_t head_size, const RopeTable& table,
          RopeStyle style, std::int64_t first_position, Threads& threads);

}  // namespace massact::ops

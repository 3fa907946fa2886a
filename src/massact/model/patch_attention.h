// Attention of a block whose tokens are patches and know their places: windows and relative
// positions (SAM, arXiv 2304.02643).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "massact/model/config.h"
#include "massact/model/weight_table.h"
#include "massact/model/workspace.h"
#include "massact/ops/attention.h"

namespace massact {

/// A block's windows, its tables of relative positions, and what pads its windows. Immutable;
/// thread-safe.
///
/// The grid of patches is cut into windows and filled up with zeros, behind the norm: keys and
/// values of the padding are the projections' biases, and each query's softmax has them. They are
/// no tokens, so they are the attention's slot. Blocks without windows have a slot too, without
/// any weight, so that a model's maps all have the same columns.
class PatchAttention {
 public:
  PatchAttention() = default;
  /// qkv_bias: the biases of all three projections, or empty.
  static PatchAttention read(const ModelConfig& config, const BoundWeights& weights, int block,
                             std::span<const float> qkv_bias);

  /// Adds the grid, the queries' biases and the slot to `options`, which then point into this and
  /// into `workspace`. Nothing for models that have neither windows nor relative positions.
  void prepare(ConstFloatMatrix q, std::span<const ops::RowRange> sequences,
               ops::AttentionOptions& options, Workspace& workspace, Threads& threads) const;

 private:
  void add_biases(ConstFloatMatrix q, std::span<const ops::RowRange> sequences,
                  ops::AttentionOptions& options, Workspace& workspace, Threads& threads) const;

  PatchGrid grid_;
  std::int64_t window_ = 0;
  bool has_slot_ = false;
  std::vector<float> row_table_, column_table_;     // [2 n - 1, c] or empty
  std::vector<float> padding_key_, padding_value_;  // [G * c] or empty: zeros
  std::vector<float> no_padding_;                   // [H] of -inf
};

}  // namespace massact

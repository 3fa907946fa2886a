// Attention within the windows of a grid: each window becomes a short sequence of its own.
#pragma once

#include <span>

#include "massact/ops/attention_sums.h"

namespace massact::ops {

/// A window's part of a grid.
struct GridWindow {
  std::int64_t first_row = 0, rows = 0;
  std::int64_t first_column = 0, columns = 0;
};

/// The window of a sequence of `count` positions in which position `i` lies; grid.window > 0.
GridWindow window_of(const GridOptions& grid, std::int64_t i, std::int64_t count);

/// `attention` where options.grid.window > 0. Arguments are already checked, `sums` is null or
/// prepared for them.
void windowed_attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
                        std::span<const RowRange> sequences, const AttentionOptions& options,
                        FloatMatrix z, AttentionSums* sums, Threads& threads);

}  // namespace massact::ops

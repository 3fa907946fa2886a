// What positions on a grid add to attention's scores: SAM's relative positions (arXiv 2304.02643,
// decomposed as in arXiv 2112.01526) and the padding of its windows.
#pragma once

#include <cstdint>
#include <span>

#include "massact/ops/attention.h"

namespace massact::ops {

/// Relative positions of the rows, or of the columns, of a grid or of its windows.
struct RelativeTable {
  std::span<const float>
      values;               ///< [2 n - 1, c]: entry d + n - 1 is of query place - key place = d
  std::int64_t places = 0;  ///< n: rows (columns) of the window, or of the grid
};

/// bias(r, h * n + y) = q(r, h) · table of (own place - y), q as it is, without attention's scale.
/// `own`: by row of q, the query's place. q: [R, H * c], bias: [R, H * n].
void relative_bias(ConstFloatMatrix q, std::int64_t heads, const RelativeTable& table,
                   std::span<const std::int64_t> own, FloatMatrix bias, Threads& threads);

/// Windows that the grid does not fill are filled up with positions that are nothing but the
/// projections' bias. Their keys all are `key` [G * c] (empty: zeros) and have one value, so that
/// together they are a slot, whose logit for each query is the logarithm of the sum of their
/// exponentials: logits [R, H], -inf in windows that need no padding. options.grid has columns,
/// window (> 0) and the bias of all window places; rows of no sequence are not touched.
void padding_logits(ConstFloatMatrix q, std::span<const RowRange> sequences,
                    const AttentionOptions& options, std::span<const float> key, FloatMatrix logits,
                    Threads& threads);

}  // namespace massact::ops

// What is usual around a scalar: for its token and for its dimension.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "massact/base/threads.h"
#include "massact/observe/magnitude_kernels.h"
#include "massact/tensor/tensor.h"

namespace massact::observe {

/// Lower medians of |h| over the other values of a scalar's row (token) and column (dimension);
/// 0 where there are no others.
struct Background {
  float token_median = 0.0f;
  float dimension_median = 0.0f;
};

/// The backgrounds of `scalars`, which lie in `values`.
std::vector<Background> backgrounds(ConstFloatMatrix values, std::span<const Scalar> scalars,
                                    Threads& threads);

/// The largest |h| of each of the given columns (at the first position, if several share it).
std::vector<Scalar> column_peaks(ConstFloatMatrix values, std::span<const std::int32_t> dimensions);

}  // namespace massact::observe

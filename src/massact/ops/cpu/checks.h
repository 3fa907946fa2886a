// Argument checks that several operations share.
#pragma once

#include <span>
#include <string_view>

#include "massact/base/error.h"
#include "massact/tensor/tensor.h"

namespace massact::ops {

inline void require_same_shape(ConstFloatMatrix a, ConstFloatMatrix b, std::string_view where) {
  require(a.rows == b.rows && a.cols == b.cols, where,
          "expected equal shapes, got [{}, {}] and "
          "[{}, {}]",
          a.rows, a.cols, b.rows, b.cols);
}

/// `values` must be empty or have one element per column.
inline void require_columns(std::span<const float> values, std::int64_t cols,
                            std::string_view where) {
  require(values.empty() || static_cast<std::int64_t>(values.size()) == cols, where,
          "expected {} values, got {}", cols, values.size());
}

}  // namespace massact::ops

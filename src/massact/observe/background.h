// What is usual around a scalar: for its token and for its dimension.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "massact/base/threads.h"
#include "massact/observe/magnitude_kernels.h"
#include "massact/tensor/tensor.h"

namespace massact::observe {

/// The lower median of |values| of a row or column without one of them.
class OtherMedian {
 public:
  OtherMedian() = default;
  /// Of finite values.
  explicit OtherMedian(std::span<const float> values);

  /// Without one value of this magnitude; 0 if it is the only one.
  float without(float magnitude) const;

 private:
  OrderStatistics candidates_{};  // zeros if there is no other value
};

/// One dimension of a hidden state.
struct Column {
  Scalar peak;  ///< its largest |h|, at the first position that has it
  OtherMedian median;
};

/// The columns at `dimensions`, in that order.
std::vector<Column> read_columns(ConstFloatMatrix values, std::span<const std::int32_t> dimensions,
                                 Threads& threads);

/// Medians of the rows at `positions`, in that order.
std::vector<OtherMedian> read_rows(ConstFloatMatrix values, std::span<const std::int32_t> positions,
                                   Threads& threads);

}  // namespace massact::observe

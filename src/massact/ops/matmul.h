// y = x · Wᵀ with W packed once and used for many x: nearly all of a transformer's arithmetic.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "massact/base/threads.h"
#include "massact/ops/activation.h"
#include "massact/ops/norm.h"
#include "massact/ops/precision.h"
#include "massact/tensor/tensor.h"

namespace massact::ops {

/// True if this CPU multiplies bf16 in hardware (AMX-BF16 or AVX512-BF16).
bool has_fast_bf16();

/// Part of a weight as it lies in a file: element (out, in) is element
/// out * out_stride + in * in_stride after `data`. Covers HF's [out, in], GPT-2's [in, out] and
/// the parts of fused projections.
struct WeightSlice {
  DType type = DType::f32;
  const std::byte* data = nullptr;
  std::int64_t out = 0;
  std::int64_t in = 0;
  std::int64_t out_stride = 0;
  std::int64_t in_stride = 1;
  /// Instead of `data`, for what a file holds in an encoding of its own: writes elements
  /// [first, first + count) of the slice, row after row, as f32. Thread-safe.
  std::function<void(std::int64_t first, std::int64_t count, float* out)> read{};
};

/// A slice that is the whole [out, in] tensor, or with `transposed` the whole [in, out] tensor.
WeightSlice whole(const TensorView& view, bool transposed = false);

/// A weight [n, k] laid out for the chosen kernel. Immutable: share freely between threads.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  /// Stacks `slices` (equal `in`) along their outputs. Reads the file's memory once, or decodes it
  /// a few rows at a time; f32 weights asked for in bf16 are rounded to nearest even.
  static PackedMatrix pack(std::span<const WeightSlice> slices, Precision precision,
                           Threads& threads);

  std::int64_t n() const { return n_; }
  std::int64_t k() const { return k_; }
  Precision precision() const { return precision_; }
  /// Bytes held.
  std::uint64_t byte_count() const;
  explicit operator bool() const { return impl_ != nullptr; }

  struct Impl;  // defined by the kernel that packed it
  const Impl* impl() const { return impl_.get(); }

 private:
  std::int64_t n_ = 0;
  std::int64_t k_ = 0;
  Precision precision_ = Precision::f32;
  std::shared_ptr<const Impl> impl_;
};

/// What is done to rows on their way in and out of a product, while they are in the caches. Gives
/// the same bits as the operations of their own (norm, add_bias, activate, scale_columns, add) one
/// by one.
struct MatmulOptions {
  const NormOptions* norm = nullptr;       ///< x is normalised first; null: taken as it is
  std::span<const float> bias{};           ///< [n], added to every row; empty: none
  std::optional<Activation> activation{};  ///< applied after the bias
  std::span<const float> scale{};          ///< [n], multiplies every row after that; empty: none
  ConstFloatMatrix residual{};             ///< [m, n], added last; may be y; no data: none

  bool changes_result() const {
    return !bias.empty() || activation.has_value() || !scale.empty() || residual.data != nullptr;
  }
};

/// y[m, n] = x[m, k] · w[n, k]ᵀ. Every row of y has the same bits whatever the other rows of x are,
/// however many there are, and for any number of threads. x and y must not overlap.
void matmul(ConstFloatMatrix x, const PackedMatrix& w, FloatMatrix y, const MatmulOptions& options,
            Threads& threads);
inline void matmul(ConstFloatMatrix x, const PackedMatrix& w, FloatMatrix y, Threads& threads) {
  matmul(x, w, y, {}, threads);
}

}  // namespace massact::ops

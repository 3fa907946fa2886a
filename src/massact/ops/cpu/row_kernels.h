// One row at a time: the vectorised inner loops of the memory-bound operations. Sums are taken in
// double in an order that depends on the length and the instruction set only.
#pragma once

#include <cstdint>

#include "massact/ops/matmul.h"

namespace massact::ops::cpu {

/// μ (zero unless options.subtract_mean) and sqrt(mean((x - μ)²) + eps).
struct RowScale {
  double mean = 0;
  double scale = 1;
};
RowScale row_scale(const float* x, std::int64_t cols, const NormOptions& options);

/// normalized = (x - mean) / scale (skipped if null); out = normalized * (weight + offset) + bias.
void norm_row(const float* x, std::int64_t cols, const RowScale& scale, const NormOptions& options,
              float* normalized, float* out);

/// out = f(x).
void activate_row(const float* x, std::int64_t cols, Activation f, float* out);
/// out = f(gate) * up.
void activate_gated_row(const float* gate, const float* up, std::int64_t cols, Activation f,
                        float* out);

/// out = a + b.
void add_row(const float* a, const float* b, std::int64_t cols, float* out);

/// A block of a product, and where it belongs in y.
struct ProductBlock {
  const float* values = nullptr;
  std::int64_t stride = 0;  ///< between rows of `values`
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t first_row = 0;  ///< in y
  std::int64_t first_column = 0;
  /// Whole aligned vectors are written past the caches: a large result would only push out what is
  /// still needed.
  bool stream = false;
};

/// y's block = activation(values + bias) * scale + residual, each if `options` has it. `values` may
/// lie at the block's own place in y.
void finish_product(const ProductBlock& block, const MatmulOptions& options, FloatMatrix y);

/// norm of rows [first, first + count) of x into out (rows of x.cols values, no gaps).
void norm_rows(ConstFloatMatrix x, std::int64_t first, std::int64_t count,
               const NormOptions& options, float* out);

/// Index of the first NaN or infinity, or -1.
std::int64_t find_non_finite_in_row(const float* x, std::int64_t cols);

/// log Σ exp(x).
double log_sum_exp_row(const float* x, std::int64_t cols);
/// Index of the first largest element.
std::int64_t arg_max_row(const float* x, std::int64_t cols);

/// Rotates pairs (a[i], b[i]) by the angles with these cosines and sines.
void rotate_halves(float* a, float* b, const float* cos, const float* sin, std::int64_t pairs);
/// Rotates pairs (x[2i], x[2i + 1]).
void rotate_interleaved(float* x, const float* cos, const float* sin, std::int64_t pairs);

}  // namespace massact::ops::cpu

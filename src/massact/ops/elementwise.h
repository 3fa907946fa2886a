// Small memory-bound pieces.
#pragma once

#include <span>

#include "massact/base/threads.h"
#include "massact/tensor/tensor.h"

namespace massact::ops {

/// out = a + b, element by element; out may be a or b.
void add(ConstFloatMatrix a, ConstFloatMatrix b, FloatMatrix out, Threads& threads);

/// x[r, :] += bias, for every row; an empty bias does nothing.
void add_bias(FloatMatrix x, std::span<const float> bias, Threads& threads);

/// x[r, :] *= factors, for every row; no factors: nothing happens.
void scale_columns(FloatMatrix x, std::span<const float> factors, Threads& threads);

/// x = min(max(x, -limit), limit); NaN stays.
void clamp(FloatMatrix x, float limit, Threads& threads);

/// x *= factor.
void scale(FloatMatrix x, float factor, Threads& threads);

/// x = cap * tanh(x / cap).
void soft_cap(FloatMatrix x, float cap, Threads& threads);

/// out = x (both views may be strided).
void copy(ConstFloatMatrix x, FloatMatrix out, Threads& threads);

/// Index (row-major) of the first element that is NaN or infinite, or -1.
std::int64_t find_non_finite(ConstFloatMatrix x, Threads& threads);

}  // namespace massact::ops

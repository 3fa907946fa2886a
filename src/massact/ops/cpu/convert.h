// Conversions between the float types, fast enough to feed the kernels.
#pragma once

#include <cstddef>
#include <cstdint>

namespace massact::ops::cpu {

/// f32 → bf16, to nearest, ties to even; NaN stays NaN.
void to_bfloat16(const float* x, std::int64_t count, std::uint16_t* out);

/// f32 → the nearest bf16 value, still as f32. `out` may be `x`.
void round_to_bfloat16(const float* x, std::int64_t count, float* out);

/// Scales to ±127 and rounds to nearest even: out = round(x / scale). Returns scale = max|x| / 127
/// (1 for a row of zeros, NaN for a row with a value that is not finite: what is multiplied by it
/// then shows that).
float quantise(const float* x, std::int64_t count, std::int8_t* out);

/// out = x * row_scale * scales. `out` may be the same memory as `x`.
void dequantise(const std::int32_t* x, std::int64_t count, float row_scale, const float* scales,
                float* out);

/// bf16 or f16 as they lie in a file (without alignment) → f32.
void from_bfloat16(const std::byte* x, std::int64_t count, float* out);
void from_float16(const std::byte* x, std::int64_t count, float* out);

}  // namespace massact::ops::cpu

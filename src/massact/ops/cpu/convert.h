// Conversions between the float types, fast enough to feed the kernels.
#pragma once

#include <cstddef>
#include <cstdint>

namespace massact::ops::cpu {

/// f32 → bf16, to nearest, ties to even; NaN stays NaN.
void to_bfloat16(const float* x, std::int64_t count, std::uint16_t* out);

/// f32 → the nearest bf16 value, still as f32. `out` may be `x`.
void round_to_bfloat16(const float* x, std::int64_t count, float* out);

/// bf16 or f16 as they lie in a file (without alignment) → f32.
void from_bfloat16(const std::byte* x, std::int64_t count, float* out);
void from_float16(const std::byte* x, std::int64_t count, float* out);

}  // namespace massact::ops::cpu

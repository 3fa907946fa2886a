// Element types as they stand in files, and exact conversions of the 16-bit floats.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace massact {

enum class DType : std::uint8_t {
  f32,
  f16,
  bf16,
  f64,
  i64,
  i32,
  i16,
  u64,
  u32,
  u16,
  i8,
  u8,
  boolean,
  f8_e4m3,
  f8_e5m2
};

/// Bytes of one element.
std::size_t size_of(DType type);

/// "f32", "bf16", …
std::string_view name_of(DType type);

/// A bfloat16's bits: the upper half of a float32.
struct BFloat16 {
  std::uint16_t bits;
};

/// An IEEE binary16's bits.
struct Float16 {
  std::uint16_t bits;
};

/// OCP 8-bit floats: 4 exponent bits without infinity (E4M3FN), 5 exponent bits as binary16 has.
struct Float8E4M3 {
  std::uint8_t bits;
};
struct Float8E5M2 {
  std::uint8_t bits;
};

inline float to_float(BFloat16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}

/// Rounds to nearest, ties to even; NaN stays NaN (quieted).
inline BFloat16 to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16)};
}

float to_float(Float16 x);
float to_float(Float8E4M3 x);
float to_float(Float8E5M2 x);

/// Rounds to nearest, ties to even; overflow becomes infinity.
Float16 to_float16(float x);

}  // namespace massact

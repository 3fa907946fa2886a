// In what products are computed.
#pragma once

#include <cstdint>
#include <string_view>

namespace massact::ops {

/// The operands' type; accumulation and results are always f32.
enum class Precision : std::uint8_t {
  f32,
  bf16,
  /// An experiment: rows of x and outputs of w scaled to ±127 by their own largest |value| and
  /// rounded; sums exact in int32. Massive activations leave little of a row's other values.
  int8
};

constexpr std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::f32:
      return "f32";
    case Precision::bf16:
      return "bf16";
    case Precision::int8:
      return "int8";
  }
  return "";
}

/// What is computed beside int8 products (attention, logits): bf16 then.
constexpr Precision unquantised(Precision precision) {
  return precision == Precision::int8 ? Precision::bf16 : precision;
}

/// Bytes of a packed weight's element.
constexpr std::int64_t bytes_of(Precision precision) {
  return precision == Precision::f32 ? 4 : (precision == Precision::bf16 ? 2 : 1);
}

}  // namespace massact::ops

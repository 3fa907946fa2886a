// In what products are computed.
#pragma once

#include <cstdint>
#include <string_view>

namespace massact::ops {

/// The operands' type; accumulation and results are always f32.
enum class Precision : std::uint8_t { f32, bf16 };

constexpr std::string_view name_of(Precision precision) {
  return precision == Precision::f32 ? "f32" : "bf16";
}

}  // namespace massact::ops

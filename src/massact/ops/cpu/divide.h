// Whole steps that cover a length.
#pragma once

#include <cstdint>

namespace massact::ops::cpu {

/// How many steps of `b` cover `a`; a >= 0, b > 0.
constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// The least multiple of `b` that is at least `a`.
constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return divide_up(a, b) * b; }

}  // namespace massact::ops::cpu

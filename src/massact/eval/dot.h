// A sum of products in double.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>

namespace massact::eval {

/// Σ a·b in double. Eight running sums: a fixed order, and the compiler can keep them in registers.
inline double dot(const float* a, const float* b, std::int64_t count) {
  std::array<double, 8> sums{};
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (std::size_t lane = 0; lane < 8; ++lane) {
      const auto at = i + static_cast<std::int64_t>(lane);
      sums[lane] += static_cast<double>(a[at]) * static_cast<double>(b[at]);
    }
  }
  for (; i < count; ++i) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace massact::eval

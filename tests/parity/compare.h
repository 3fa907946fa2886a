// The parity tolerance of docs/sites.md, and a bound in the mean for bf16.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace massact::testing_support {

/// RMS of a vector without its massive dimensions (more than 50 times the median magnitude).
inline double rms_without_massive(const float* values, std::int64_t count) {
  std::vector<double> magnitudes;
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::isfinite(values[i])) magnitudes.push_back(std::abs(values[i]));
  }
  if (magnitudes.empty()) return 0.0;
  std::sort(magnitudes.begin(), magnitudes.end());
  const double median = magnitudes[(magnitudes.size() - 1) / 2];
  double sum = 0;
  std::size_t kept = 0;
  for (const double magnitude : magnitudes) {
    if (median > 0 && magnitude > 50 * median) continue;
    sum += magnitude * magnitude;
    ++kept;
  }
  return std::sqrt(sum / static_cast<double>(kept));
}

/// "" if |a - b| <= tolerance * |b| + tolerance * RMS of b's vector for every element, -inf equal;
/// else where and by how much the worst one fails. Vectors are `width` long.
inline std::string compare_vectors(const std::vector<float>& a, const std::vector<float>& b,
                                   std::int64_t width, double tolerance = 1e-4) {
  if (a.size() != b.size()) return fmt::format("expected {} values, got {}", b.size(), a.size());
  double worst = 1.0;
  std::string text;
  for (std::size_t begin = 0; begin < b.size(); begin += static_cast<std::size_t>(width)) {
    const double rms = rms_without_massive(b.data() + begin, width);
    for (std::size_t i = begin; i < begin + static_cast<std::size_t>(width); ++i) {
      if (a[i] == b[i]) continue;  // also -inf
      const double allowed = tolerance * std::abs(b[i]) + tolerance * rms;
      const double excess = std::abs(a[i] - b[i]) / allowed;
      if (excess > worst || !std::isfinite(excess)) {
        worst = excess;
        text = fmt::format("value {} of vector {}: expected {} got {} ({:.3g} x tolerance)",
                           i - begin, begin / static_cast<std::size_t>(width), b[i], a[i], excess);
        if (!std::isfinite(excess)) return text;
      }
    }
  }
  return text;
}

/// ‖a - b‖ / ‖b‖ over finite values.
inline double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    if (!std::isfinite(b[i])) continue;
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    norm += double{b[i]} * b[i];
  }
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

}  // namespace massact::testing_support

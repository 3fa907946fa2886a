// Made-up hidden states for the tests: deterministic, and independent of the standard library.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "massact/base/threads.h"
#include "massact/run/observer.h"

namespace massact::testing {

/// splitmix64: the same numbers everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}

  std::uint64_t bits() {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// In (0, 1).
  double uniform() { return (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53; }
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t state_;
};

/// A hidden state [rows, cols] that owns its values.
struct Hidden {
  std::int64_t rows, cols;
  std::vector<float> values;

  Hidden(std::int64_t rows_, std::int64_t cols_, float fill = 0.0f)
      : rows(rows_), cols(cols_), values(static_cast<std::size_t>(rows_ * cols_), fill) {}

  float& at(std::int64_t r, std::int64_t c) {
    return values[static_cast<std::size_t>(r * cols + c)];
  }
  FloatMatrix view() { return {values.data(), rows, cols}; }
};

inline Hidden gaussian(std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  Hidden hidden(rows, cols);
  Random random(seed);
  for (float& x : hidden.values) x = static_cast<float>(random.normal());
  return hidden;
}

/// Shows `hidden` to an observer as resid_post of `block`, whole.
inline void show(Observer& observer, Hidden& hidden, Threads& threads, int block = 0,
                 std::int64_t sequence = 0) {
  const std::vector<std::int32_t> tokens(static_cast<std::size_t>(hidden.rows), 7);
  SiteView view;
  view.site = {SiteKind::resid_post, block};
  view.sequence = sequence;
  view.tokens = tokens;
  view.values = hidden.view();
  observer.observe(view, threads);
}

}  // namespace massact::testing

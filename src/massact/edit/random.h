// Random numbers that are a function of their place alone: no state, so that threads, passes and
// batches cannot change them.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace massact::edit {

/// splitmix64's finaliser (Steele, Lea, Flood 2014).
constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// A hash of several numbers in order.
template <typename... More>
constexpr std::uint64_t mix(std::uint64_t first, std::uint64_t second, More... more) {
  return mix(mix(first) ^ second, static_cast<std::uint64_t>(more)...);
}

/// Standard normal, from a hash (Box-Muller).
inline double normal_from(std::uint64_t hash) {
  constexpr double kUnit = 1.0 / 9007199254740992.0;  // 2^-53
  const double u = (static_cast<double>(mix(hash) >> 11) + 1.0) * kUnit;
  const double v = static_cast<double>(mix(hash ^ 0xA5A5A5A5A5A5A5A5u) >> 11) * kUnit;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace massact::edit

// A histogram of magnitudes that merges exactly and takes memory only where there are values.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace massact::observe {

/// The probabilities of the quantiles of |h| that are kept.
inline constexpr std::array<double, 7> kQuantiles{0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999};

/// Counts of |h| in 4096 bins per octave (the upper 20 bits of the float without its sign).
/// Integers: merging in any order gives the same. About 1 MB for the values of a real layer.
class AbsHistogram {
 public:
  /// Adds `counts[0 … kBinsPerOctave)` to the octave with that exponent (0 … 254).
  void add_octave(std::uint32_t exponent, const std::uint32_t* counts);
  void merge(const AbsHistogram& other);

  std::uint64_t count() const { return count_; }

  /// The order statistic with `rank` (0 is the smallest), to a relative error of 2^-13: the
  /// middle of its bin (exactly 0 for zeros). `rank < count()`.
  float order_statistic(std::uint64_t rank) const;

  bool operator==(const AbsHistogram&) const = default;

 private:
  std::vector<std::vector<std::uint64_t>> octaves_;  // [255] or empty; an octave may be empty
  std::uint64_t count_ = 0;
};

/// The rank of the quantile `probability` among `count` values: floor(probability * (count - 1)),
/// so 0.5 is the lower median.
std::uint64_t quantile_rank(double probability, std::uint64_t count);

}  // namespace massact::observe

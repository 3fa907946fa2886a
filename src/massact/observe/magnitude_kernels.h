// The inner loops of observe::Magnitudes over a block of rows, in the widest SIMD of the CPU.
// A magnitude is handled as its bits: |h|'s 31 bits order like |h|. The upper 20 of them (exponent
// and 12 bits of mantissa) number the bins of a histogram, the lower 11 a value within its bin.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "massact/tensor/tensor.h"

namespace massact::observe {

inline constexpr int kRefineBits = 11;
inline constexpr std::uint32_t kRefineCount = 1u << kRefineBits;
inline constexpr std::uint32_t kBinsPerOctave = 4096;
inline constexpr std::uint32_t kOctaves = 255;  // exponents of finite floats
inline constexpr std::uint32_t kBins = kOctaves * kBinsPerOctave;
inline constexpr std::uint32_t kInfinityBits = 0x7f800000u;

/// Count, mean and central power sums of a set of values, in double.
struct PowerSums {
  double count = 0.0;
  double mean = 0.0;
  double m2 = 0.0;  ///< sum of (x - mean)^2
  double m3 = 0.0;
  double m4 = 0.0;

  /// The sums of the union (Pebay 2008, "Formulas for robust, one-pass parallel computation of
  /// covariances and arbitrary-order statistical moments", eq. 2.1 ff.).
  void merge(const PowerSums& other);

  bool operator==(const PowerSums&) const = default;
};

/// What one thread gathers in the first pass; integers only, so any order of blocks is the same.
struct FirstPass {
  std::uint32_t* histogram;       ///< [kBins + one octave for what is not finite]
  std::uint32_t* outlier_counts;  ///< [cols] values with |h| >= 6
  std::uint32_t* column_max;      ///< [cols] largest bits of |h|
  std::uint32_t* bins;            ///< [cols] scratch
  std::uint32_t max_bits = 0;     ///< of |h|
  std::uint32_t min_bits = ~0u;   ///< smallest non-zero, minus one
};

/// Sums of one block; merged in the order of blocks.
struct BlockSums {
  PowerSums powers;
  double abs_sum = 0.0;
};

/// Histogram, column counts and maxima, and sums of a block of contiguous rows.
BlockSums first_pass(ConstFloatMatrix block, FirstPass& pass);

/// One of the largest values of a site.
struct Scalar {
  std::uint32_t bits;  ///< of |h|
  std::int32_t position;
  std::int32_t dimension;
  float value;
};

/// Larger |h| first, then smaller position, then smaller dimension: a total order.
inline bool larger(const Scalar& a, const Scalar& b) {
  if (a.bits != b.bits) return a.bits > b.bits;
  if (a.position != b.position) return a.position < b.position;
  return a.dimension < b.dimension;
}

/// What the second pass looks for.
struct SecondPass {
  static constexpr std::size_t kMaxTargets = 8;
  std::uint32_t top_bin = 0;                ///< collect values in this bin and above
  std::size_t top_k = 0;                    ///< only the top_k largest of a block are needed
  std::uint32_t targets[kMaxTargets] = {};  ///< refine these bins; unused ones repeat another
  std::size_t target_count = 0;
};

/// Appends the block's `top_k` largest values at or above `top_bin` (in any order, perhaps a few
/// more) to `top`, and counts the values of target bin i by their lower bits in
/// refined[i * kRefineCount + …]. `first_row` is the position of the block's first row.
void second_pass(ConstFloatMatrix block, std::int64_t first_row, const SecondPass& pass,
                 std::vector<Scalar>& top, std::uint32_t* refined);

/// Two neighbouring order statistics of |values|.
struct OrderStatistics {
  float at, next;
};

/// Those of rank `rank` and `rank + 1` (from 0, rising) of `values`, which are finite and at least
/// rank + 2.
OrderStatistics order_statistics(std::span<const float> values, std::size_t rank);

}  // namespace massact::observe

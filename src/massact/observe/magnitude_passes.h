// The steps of taking one hidden state in: two parallel passes over its values.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "massact/base/threads.h"
#include "massact/observe/abs_histogram.h"
#include "massact/observe/magnitude_kernels.h"
#include "massact/tensor/tensor.h"

namespace massact::observe {

/// Order statistics of |h| at kQuantiles.
using Quantiles = std::array<float, kQuantiles.size()>;

/// Memory that is used again from one matrix to the next, and the passes over it. Call in order,
/// with the same matrix: first_pass; move_histogram (only if all values are finite); second_pass.
/// Results do not depend on the number of threads.
class MagnitudePasses {
 public:
  /// Histogram, sums, and per-column counts and maxima.
  void first_pass(ConstFloatMatrix values, Threads& threads);

  /// Bits of the largest |h|; at least kInfinityBits if a value is not finite.
  std::uint32_t max_bits() const { return max_bits_; }
  const BlockSums& sums() const { return sums_; }
  /// Adds the columns' numbers of values with |h| >= 6.
  void add_outlier_counts(std::vector<std::uint64_t>& counts) const;
  /// The `k` columns with the largest |h|; ties by column.
  std::vector<std::int32_t> peak_dimensions(std::size_t k) const;

  /// Adds the histogram to `pooled`.
  void move_histogram(AbsHistogram& pooled, Threads& threads);

  /// The exact quantiles, and the `k` largest scalars, falling (`larger`).
  std::vector<Scalar> second_pass(ConstFloatMatrix values, std::size_t k, Threads& threads,
                                  Quantiles& quantiles);

 private:
  struct FreeMemory {
    void operator()(std::uint32_t* p) const { std::free(p); }
  };
  struct PerWorker {
    std::unique_ptr<std::uint32_t[], FreeMemory> histogram;
    std::vector<std::uint32_t> outlier_counts, column_max, bins;
    std::vector<std::uint32_t> refined;
  };
  // An order statistic: its rank among all values, and its rank among those of its bin.
  struct Rank {
    std::uint64_t rank;
    std::uint32_t bin = 0;
    std::uint64_t within = 0;
  };

  void prepare(std::int64_t width, Threads& threads);
  std::vector<Rank> locate(std::uint64_t count) const;
  std::uint32_t bin_of_largest(std::uint64_t k) const;
  Quantiles refine(const std::vector<Rank>& ranks, const SecondPass& pass) const;

  std::vector<PerWorker> workers_;
  BlockSums sums_;
  std::uint32_t max_bits_ = 0, min_bits_ = 0;
  std::vector<std::uint32_t> counts_;  // [kBins] of the matrix; only these octaves are valid:
  std::uint32_t first_octave_ = 0, end_octave_ = 0;
  std::array<std::uint64_t, kOctaves> octave_counts_{};  // of these octaves
  std::uint64_t zeros_ = 0;                              // zeros, if octave 0 is not among them
};

}  // namespace massact::observe

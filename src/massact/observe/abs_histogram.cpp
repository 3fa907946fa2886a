#include "massact/observe/abs_histogram.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "massact/observe/magnitude_kernels.h"

namespace massact::observe {

void AbsHistogram::add_octave(std::uint32_t exponent, const std::uint32_t* counts) {
  const std::uint64_t added = std::accumulate(counts, counts + kBinsPerOctave, std::uint64_t{0});
  if (added == 0) return;
  octaves_.resize(kOctaves);
  auto& octave = octaves_[exponent];
  octave.resize(kBinsPerOctave);
  for (std::uint32_t i = 0; i < kBinsPerOctave; ++i) octave[i] += counts[i];
  count_ += added;
}

void AbsHistogram::merge(const AbsHistogram& other) {
  if (other.count_ == 0) return;
  octaves_.resize(kOctaves);
  for (std::uint32_t e = 0; e < kOctaves; ++e) {
    if (other.octaves_[e].empty()) continue;
    octaves_[e].resize(kBinsPerOctave);
    for (std::uint32_t i = 0; i < kBinsPerOctave; ++i) octaves_[e][i] += other.octaves_[e][i];
  }
  count_ += other.count_;
}

float AbsHistogram::order_statistic(std::uint64_t rank) const {
  std::uint64_t below = 0;
  for (std::uint32_t e = 0; e < octaves_.size(); ++e) {
    for (std::uint32_t i = 0; i < octaves_[e].size(); ++i) {
      below += octaves_[e][i];
      if (below <= rank) continue;
      const std::uint32_t bin = e * kBinsPerOctave + i;
      if (bin == 0) return 0.0f;
      return std::bit_cast<float>((bin << kRefineBits) | (kRefineCount / 2));
    }
  }
  return 0.0f;
}

std::uint64_t quantile_rank(double probability, std::uint64_t count) {
  if (count == 0) return 0;
  const double position = probability * static_cast<double>(count - 1);
  return std::min(static_cast<std::uint64_t>(position), count - 1);
}

}  // namespace massact::observe

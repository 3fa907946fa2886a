#include "massact/observe/magnitude_passes.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <numeric>
#include <utility>

#include "massact/base/error.h"

namespace massact::observe {
namespace {

constexpr std::int64_t kBlockValues = 65536;  // 256 KB: looked at twice while in the L2 cache

std::int64_t rows_per_block(ConstFloatMatrix values) {
  return std::max<std::int64_t>(1, kBlockValues / values.cols);
}

}  // namespace

void MagnitudePasses::prepare(std::int64_t width, Threads& threads) {
  workers_.resize(static_cast<std::size_t>(threads.count()));
  counts_.resize(kBins);
  const auto d = static_cast<std::size_t>(width);
  for (PerWorker& w : workers_) {
    if (!w.histogram) {
      // calloc: only the octaves that occur ever take memory. One more octave for inf and NaN.
      w.histogram.reset(
          static_cast<std::uint32_t*>(std::calloc(kBins + kBinsPerOctave, sizeof(std::uint32_t))));
      require(w.histogram != nullptr, "memory", "expected {} more bytes for a histogram",
              (kBins + kBinsPerOctave) * sizeof(std::uint32_t));
    }
    w.outlier_counts.assign(d, 0);
    w.column_max.assign(d, 0);
    w.bins.resize(d);
  }
}

void MagnitudePasses::first_pass(ConstFloatMatrix values, Threads& threads) {
  prepare(values.cols, threads);
  const std::int64_t step = rows_per_block(values), blocks = (values.rows + step - 1) / step;
  std::vector<BlockSums> block_sums(static_cast<std::size_t>(blocks));
  std::vector<FirstPass> passes;
  for (PerWorker& w : workers_) {
    passes.push_back(
        {w.histogram.get(), w.outlier_counts.data(), w.column_max.data(), w.bins.data()});
  }
  threads.parallel_for(blocks, [&](std::int64_t b, int worker) {
    const std::int64_t rows = std::min(step, values.rows - b * step);
    block_sums[static_cast<std::size_t>(b)] = observe::first_pass(
        values.slice_rows(b * step, rows), passes[static_cast<std::size_t>(worker)]);
  });
  sums_ = {};
  for (const auto& block : block_sums) {
    sums_.powers.merge(block.powers);
    sums_.abs_sum += block.abs_sum;
  }
  max_bits_ = 0;
  min_bits_ = ~0u;
  for (const auto& pass : passes) {
    max_bits_ = std::max(max_bits_, pass.max_bits);
    min_bits_ = std::min(min_bits_, pass.min_bits);
  }
}

void MagnitudePasses::move_histogram(AbsHistogram& pooled, Threads& threads) {
  constexpr int kExponentShift = 23;
  // min_bits_ is the smallest non-zero magnitude less one; all zero: only octave 0.
  first_octave_ = max_bits_ == 0 ? 0 : (min_bits_ + 1) >> kExponentShift;
  end_octave_ = (max_bits_ >> kExponentShift) + 1;
  zeros_ = 0;
  if (first_octave_ > 0) {
    for (PerWorker& w : workers_) zeros_ += std::exchange(w.histogram[0], 0);
  }
  threads.parallel_for(end_octave_ - first_octave_, [&](std::int64_t i, int) {
    const std::uint32_t octave = first_octave_ + static_cast<std::uint32_t>(i);
    const std::uint32_t begin = octave * kBinsPerOctave;
    std::uint32_t* sum = counts_.data() + begin;
    std::fill(sum, sum + kBinsPerOctave, 0u);
    for (PerWorker& w : workers_) {
      std::uint32_t* part = w.histogram.get() + begin;
      for (std::uint32_t j = 0; j < kBinsPerOctave; ++j) sum[j] += std::exchange(part[j], 0u);
    }
    octave_counts_[octave] = std::accumulate(sum, sum + kBinsPerOctave, std::uint64_t{0});
  });
  for (std::uint32_t e = first_octave_; e < end_octave_; ++e) {
    pooled.add_octave(e, counts_.data() + std::size_t{e} * kBinsPerOctave);
  }
  if (zeros_ > 0) {
    std::vector<std::uint32_t> octave(kBinsPerOctave);
    octave[0] = static_cast<std::uint32_t>(zeros_);
    pooled.add_octave(0, octave.data());
  }
}

void MagnitudePasses::add_outlier_counts(std::vector<std::uint64_t>& counts) const {
  for (const PerWorker& w : workers_) {
    for (std::size_t d = 0; d < counts.size(); ++d) counts[d] += w.outlier_counts[d];
  }
}

std::vector<MagnitudePasses::Rank> MagnitudePasses::locate(std::uint64_t count) const {
  std::vector<Rank> ranks;
  for (const double q : kQuantiles) ranks.push_back({quantile_rank(q, count)});
  auto next = ranks.begin();
  std::uint64_t below = 0;
  const auto visit = [&](std::uint32_t bin, std::uint64_t in_bin) {
    for (; next != ranks.end() && next->rank < below + in_bin; ++next) {
      next->bin = bin;
      next->within = next->rank - below;
    }
    below += in_bin;
  };
  if (zeros_ > 0) visit(0, zeros_);
  for (std::uint32_t octave = first_octave_; octave < end_octave_; ++octave) {
    if (next == ranks.end()) break;
    if (next->rank >= below + octave_counts_[octave]) {
      below += octave_counts_[octave];
      continue;
    }
    const std::uint32_t end = (octave + 1) * kBinsPerOctave;
    for (std::uint32_t bin = octave * kBinsPerOctave; bin < end; ++bin) visit(bin, counts_[bin]);
  }
  return ranks;
}

// The bin of the k-th largest value.
std::uint32_t MagnitudePasses::bin_of_largest(std::uint64_t k) const {
  std::uint64_t above = 0;
  for (std::uint32_t bin = end_octave_ * kBinsPerOctave; bin > first_octave_ * kBinsPerOctave;) {
    above += counts_[--bin];
    if (above >= k) return bin;
  }
  return 0;
}

Quantiles MagnitudePasses::refine(const std::vector<Rank>& ranks, const SecondPass& pass) const {
  Quantiles quantiles{};
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const auto target = static_cast<std::size_t>(
        std::find(pass.targets, std::end(pass.targets), ranks[i].bin) - pass.targets);
    std::uint64_t below = 0;
    std::uint32_t low = 0;
    for (;; ++low) {
      for (const PerWorker& w : workers_) below += w.refined[target * kRefineCount + low];
      if (below > ranks[i].within) break;
    }
    quantiles[i] = std::bit_cast<float>((ranks[i].bin << kRefineBits) | low);
  }
  return quantiles;
}

std::vector<Scalar> MagnitudePasses::second_pass(ConstFloatMatrix values, std::size_t k,
                                                 Threads& threads, Quantiles& quantiles) {
  const auto count = static_cast<std::uint64_t>(values.rows * values.cols);
  const std::vector<Rank> ranks = locate(count);
  SecondPass pass;
  pass.top_k = std::min<std::size_t>(k, count);
  pass.top_bin = bin_of_largest(pass.top_k);
  for (const Rank& rank : ranks) {
    const auto end = pass.targets + pass.target_count;
    if (std::find(pass.targets, end, rank.bin) == end) pass.targets[pass.target_count++] = rank.bin;
  }
  std::fill(pass.targets + pass.target_count, std::end(pass.targets), pass.targets[0]);
  for (PerWorker& w : workers_) w.refined.assign(pass.target_count * kRefineCount, 0);

  const std::int64_t step = rows_per_block(values), blocks = (values.rows + step - 1) / step;
  std::vector<std::vector<Scalar>> tops(static_cast<std::size_t>(blocks));
  threads.parallel_for(blocks, [&](std::int64_t b, int worker) {
    const std::int64_t rows = std::min(step, values.rows - b * step);
    observe::second_pass(values.slice_rows(b * step, rows), b * step, pass,
                         tops[static_cast<std::size_t>(b)],
                         workers_[static_cast<std::size_t>(worker)].refined.data());
  });

  quantiles = refine(ranks, pass);
  std::vector<Scalar> top;
  for (const auto& part : tops) top.insert(top.end(), part.begin(), part.end());
  const auto middle = top.begin() + static_cast<std::ptrdiff_t>(pass.top_k);
  std::partial_sort(top.begin(), middle, top.end(), larger);
  top.erase(middle, top.end());
  return top;
}

std::vector<std::int32_t> MagnitudePasses::peak_dimensions(std::size_t k) const {
  std::vector<std::uint32_t> max = workers_.front().column_max;
  for (const PerWorker& w : workers_) {
    for (std::size_t d = 0; d < max.size(); ++d) max[d] = std::max(max[d], w.column_max[d]);
  }
  std::vector<std::int32_t> dimensions(max.size());
  std::iota(dimensions.begin(), dimensions.end(), 0);
  const auto end = dimensions.begin() + static_cast<std::ptrdiff_t>(std::min(k, max.size()));
  std::partial_sort(dimensions.begin(), end, dimensions.end(), [&](std::int32_t a, std::int32_t b) {
    const auto x = max[static_cast<std::size_t>(a)];
    const auto y = max[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  });
  dimensions.erase(end, dimensions.end());
  return dimensions;
}

}  // namespace massact::observe

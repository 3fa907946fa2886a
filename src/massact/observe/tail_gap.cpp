#include "massact/observe/tail_gap.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace massact::observe {

double excess(const Magnitude& magnitude, double median) {
  if (median == 0.0) return 0.0;
  const auto token = static_cast<double>(magnitude.token_median);
  const auto dimension = static_cast<double>(magnitude.dimension_median);
  const double expected = std::max({median, token, dimension, token * dimension / median});
  return std::abs(static_cast<double>(magnitude.value)) / expected;
}

TailGap find_gap(const SequenceMagnitudes& sequence) {
  TailGap best;
  std::vector<double> tail;
  for (const Magnitude& peak : sequence.peaks) {
    const double x = excess(peak, sequence.median());
    if (x > 0.0) tail.push_back(x);
  }
  std::sort(tail.begin(), tail.end(), std::greater<>());
  // Peaks are chosen by |h|, not by excess: only the upper half is sure to be the tail.
  const std::size_t count = tail.size() / 2;
  const std::size_t most = count / 3;  // the gap is sought after 1 … most peaks
  if (most == 0) return best;

  // Spacings of the log order statistics, times their rank: independent and exponential with the
  // same mean for a power law (Renyi 1953); with falling means outwards for lighter tails.
  std::vector<double> spacing;
  for (std::size_t i = 1; i < count; ++i) {
    spacing.push_back(static_cast<double>(i) * std::log(tail[i - 1] / tail[i]));
  }
  // The gap after the i largest against all spacings below it.
  double below = 0.0;
  for (std::size_t i = spacing.size(); i > most; --i) below += spacing[i - 1];
  for (std::size_t i = most; i >= 1; --i) {
    // D_i / (sum of n others) exceeds c with probability (1 + c)^-n; Bonferroni over `most` gaps.
    const auto n = static_cast<double>(spacing.size() - i);
    const double log_p =
        below > 0.0 ? std::log(static_cast<double>(most)) - n * std::log1p(spacing[i - 1] / below)
                    : 0.0;
    if (log_p < best.log_p) {
      best = {static_cast<int>(i), tail[i - 1] / tail[i], std::sqrt(tail[i - 1] * tail[i]), log_p};
    }
    below += spacing[i - 1];
  }
  return best;
}

}  // namespace massact::observe

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "massact/observe/find.h"
#include "massact/observe/tail_gap.h"

namespace massact::observe {
namespace {

// What a sequence's gap must reach to count as evidence at all, and what all of a dimension's
// evidence at a layer must reach together: one false finding in ten thousand scans.
const double kLogWeak = std::log(0.05);
const double kLogSignificant = std::log(1e-4);

double log_binomial(std::size_t n, std::size_t k) {
  const auto a = static_cast<double>(n), b = static_cast<double>(k);
  return std::lgamma(a + 1.0) - std::lgamma(b + 1.0) - std::lgamma(a - b + 1.0);
}

struct Evidence {
  double log_p = 0.0;
  std::size_t sequences = 0;
};

// ln p of every dimension that lies beyond a gap, over a layer's sequences, corrected for choosing
// which sequences count.
std::map<std::int32_t, double> weigh(const LayerMagnitudes& layer,
                                     const std::vector<TailGap>& gaps) {
  std::map<std::int32_t, Evidence> evidence;
  for (std::size_t s = 0; s < gaps.size(); ++s) {
    if (gaps[s].log_p > kLogWeak) continue;
    for (const Magnitude& peak : layer.sequences[s].peaks) {
      if (excess(peak, layer.sequences[s].median()) < gaps[s].middle) continue;
      Evidence& of_dimension = evidence[peak.dimension];
      of_dimension.log_p += gaps[s].log_p;
      ++of_dimension.sequences;
    }
  }
  std::map<std::int32_t, double> result;
  for (const auto& [dimension, e] : evidence) {
    result[dimension] = e.log_p + log_binomial(gaps.size(), e.sequences);
  }
  return result;
}

// All that is kept of a sequence, from 10 medians up, each once. A dimension's peak need not be
// among the largest values: these may all lie in a few dimensions that are large everywhere.
std::vector<Magnitude> large_values(const SequenceMagnitudes& sequence) {
  std::vector<Magnitude> values;
  for (const auto* list : {&sequence.top, &sequence.peaks}) {
    for (const Magnitude& m : *list) {
      if (std::abs(static_cast<double>(m.value)) < kLargeRatio * sequence.median()) break;
      if (std::find(values.begin(), values.end(), m) == values.end()) values.push_back(m);
    }
  }
  return values;
}

// Appends the layer's hits; returns what its gaps look like.
LayerGap take_layer(int number, const LayerMagnitudes& layer, double log_tests,
                    std::vector<Hit>& hits) {
  std::vector<TailGap> gaps;
  for (const auto& sequence : layer.sequences) gaps.push_back(find_gap(sequence));
  const std::map<std::int32_t, double> log_p = weigh(layer, gaps);
  LayerGap mean{.layer = number};
  for (std::size_t s = 0; s < gaps.size(); ++s) {
    if (gaps[s].log_p > kLogWeak) continue;
    const SequenceMagnitudes& sequence = layer.sequences[s];
    double threshold = 0.0;
    for (const Magnitude& m : large_values(sequence)) {
      const auto found = log_p.find(m.dimension);
      if (found == log_p.end() || found->second + log_tests > kLogSignificant) continue;
      if (excess(m, sequence.median()) < gaps[s].middle) continue;
      hits.push_back({number, sequence.sequence, m, sequence.median()});
      mean.log10_p_value =
          std::min(mean.log10_p_value, (found->second + log_tests) / std::numbers::ln10);
      const double abs = std::abs(static_cast<double>(m.value));
      threshold = threshold == 0.0 ? abs : std::min(threshold, abs);
    }
    if (threshold == 0.0) continue;
    ++mean.sequences;
    mean.gap += gaps[s].width;
    mean.threshold += threshold;
    mean.ratio += threshold / sequence.median();
  }
  if (mean.sequences > 0) {
    const auto n = static_cast<double>(mean.sequences);
    mean.gap /= n;
    mean.threshold /= n;
    mean.ratio /= n;
  }
  return mean;
}

}  // namespace

AutomaticHits automatic_hits(const Magnitudes& magnitudes) {
  AutomaticHits result;
  const double log_tests = std::log(static_cast<double>(magnitudes.layers().size()));
  for (const auto& [number, layer] : magnitudes.layers()) {
    const LayerGap gap = take_layer(number, layer, log_tests, result.hits);
    if (gap.sequences > 0) result.gaps.push_back(gap);
  }
  return result;
}

}  // namespace massact::observe

#include "massact/observe/magnitudes.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <set>

#include "massact/base/error.h"
#include "massact/observe/background.h"

namespace massact {
namespace {

using observe::Scalar;

// Below this many medians nothing is ever reported as large: backgrounds are not needed.
constexpr double kBackgroundRatio = 10.0;

constexpr std::size_t kMedianIndex = 1;
static_assert(kQuantiles[kMedianIndex] == 0.5);

int layer_of(Site site) {
  if (site.kind == SiteKind::resid_post) return site.block + 1;
  if (site.kind == SiteKind::resid_pre && site.block == 0) return 0;
  fail(name_of(site), "expected a hidden state (resid_post, or resid_pre of block 0)");
}

[[noreturn]] void fail_not_finite(const SiteView& view, ConstFloatMatrix values) {
  for (std::int64_t r = 0; r < values.rows; ++r) {
    for (std::int64_t c = 0; c < values.cols; ++c) {
      if (std::isfinite(values(r, c))) continue;
      fail(name_of(view.site),
           "expected finite values, got {} at layer {}, sequence {}, position {}, dimension {} "
           "(weights or precision out of range?)",
           values(r, c), layer_of(view.site), view.sequence, r, c);
    }
  }
  fail(name_of(view.site), "expected finite values");
}

bool meets(const Rule& rule, float value, double median) {
  return rule.met_by(std::abs(static_cast<double>(value)), median);
}

// Exact also where more scalars meet the strict rule than `top` holds.
std::int64_t count_strict(ConstFloatMatrix values, const SequenceMagnitudes& sequence) {
  const Rule strict = Rule::strict();
  const double median = sequence.median();
  const auto in_top = std::count_if(
      sequence.top.begin(), sequence.top.end(),
      [&](const Magnitude& m) { return meets(strict, m.value, median); });
  if (in_top < std::ssize(sequence.top)) return in_top;
  std::int64_t count = 0;
  for (std::int64_t r = 0; r < values.rows; ++r) {
    count += std::count_if(values.row(r), values.row(r) + values.cols,
                           [&](float x) { return meets(strict, x, median); });
  }
  return count;
}

}  // namespace

Magnitudes::Magnitudes(MagnitudeOptions options)
    : options_(options), passes_(std::make_unique<observe::MagnitudePasses>()) {
  require(options.top_k >= 1, "top_k", "expected at least 1, got {}", options.top_k);
}

void Magnitudes::observe(const SiteView& view, Threads& threads) {
  require(stream_ < 0 || stream_ == view.stream, name_of(view.site),
          "expected values of stream {}, got stream {} (use one observer per stream)", stream_,
          view.stream);
  stream_ = view.stream;
  const auto positions = std::ssize(view.tokens);
  if (view.first_position == 0 && view.values.rows == positions) {
    take(view, view.values, threads);
    return;
  }
  // The sequence comes in pieces: medians need all of it.
    const auto width = static_cast<std::size_t>(view.values.cols);
  require(static_cast<std::size_t>(view.first_position) * width == pending_.size(),
          name_of(view.site), "expected position {} next, got {}", pending_.size() / width,
          view.first_position);
  for (std::int64_t r = 0; r < view.values.rows; ++r) {
    pending_.insert(pending_.end(), view.values.row(r), view.values.row(r) + view.values.cols);
  }
  if (view.first_position + view.values.rows < positions) return;
  const std::vector<float> whole = std::exchange(pending_, {});
  take(view, {whole.data(), positions, view.values.cols}, threads);
}

void Magnitudes::take(const SiteView& view, ConstFloatMatrix values, Threads& threads) {
  require(values.rows > 0 && values.cols > 0, name_of(view.site), "expected values, got none");
  LayerMagnitudes& layer = layers_[layer_of(view.site)];
  require(layer.sequences.empty() || layer.sequences.back().sequence < view.sequence,
          name_of(view.site), "expected a sequence after {}, got {}",
          layer.sequences.empty() ? -1 : layer.sequences.back().sequence, view.sequence);

  passes_->first_pass(values, threads);
  if (passes_->max_bits() >= observe::kInfinityBits) fail_not_finite(view, values);
  passes_->move_histogram(layer.pooled, threads);
  layer.outlier_counts.resize(static_cast<std::size_t>(values.cols));
  passes_->add_outlier_counts(layer.outlier_counts);
  layer.tokens += static_cast<std::uint64_t>(values.rows);

  SequenceMagnitudes result;
  result.sequence = view.sequence;
  result.positions = values.rows;
  result.width = values.cols;
  result.powers = passes_->sums().powers;
  result.mean_abs = passes_->sums().abs_sum / result.powers.count;
  const auto k = static_cast<std::size_t>(options_.top_k);
  std::vector<Scalar> scalars = passes_->second_pass(values, k, threads, result.quantiles);
  const std::size_t top_count = scalars.size();
  std::vector<observe::Background> background(top_count);
  if (std::abs(static_cast<double>(scalars[0].value)) >= kBackgroundRatio * result.median()) {
    auto peaks = observe::column_peaks(values, passes_->peak_dimensions(k));
    std::sort(peaks.begin(), peaks.end(), observe::larger);
    scalars.insert(scalars.end(), peaks.begin(), peaks.end());
    background = observe::backgrounds(values, scalars, threads);
  }
  for (std::size_t i = 0; i < scalars.size(); ++i) {
    (i < top_count ? result.top : result.peaks)
        .push_back({scalars[i].value, scalars[i].position, scalars[i].dimension,
                    background[i].token_median, background[i].dimension_median});
  }
  result.strict_count = count_strict(values, result);
  layer.sequences.push_back(std::move(result));
}

void Magnitudes::merge(const Magnitudes& other) {
  require(options_.top_k == other.options_.top_k, "merge", "expected top_k {}, got {}",
          options_.top_k, other.options_.top_k);
  if (stream_ < 0) stream_ = other.stream_;
  for (const auto& [number, from] : other.layers_) {
    LayerMagnitudes& into = layers_[number];
    if (into.outlier_counts.empty()) into.outlier_counts.resize(from.outlier_counts.size());
    require(into.outlier_counts.size() == from.outlier_counts.size(), "merge",
            "expected width {} at layer {}, got {}", into.outlier_counts.size(), number,
            from.outlier_counts.size());
    std::vector<SequenceMagnitudes> both;
    std::merge(into.sequences.begin(), into.sequences.end(), from.sequences.begin(),
               from.sequences.end(), std::back_inserter(both),
               [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
    for (std::size_t i = 1; i < both.size(); ++i) {
      require(both[i - 1].sequence != both[i].sequence, "merge",
              "expected different sequences, got {} twice at layer {}", both[i].sequence, number);
    }
    into.sequences = std::move(both);
    into.pooled.merge(from.pooled);
    for (std::size_t d = 0; d < from.outlier_counts.size(); ++d) {
      into.outlier_counts[d] += from.outlier_counts[d];
    }
    into.tokens += from.tokens;
  }
}

std::int64_t Magnitudes::sequence_count() const {
  std::set<std::int64_t> sequences;
  for (const auto& entry : layers_) {
    for (const auto& s : entry.second.sequences) sequences.insert(s.sequence);
  }
  return std::ssize(sequences);
}

double SequenceMagnitudes::max_abs() const {
  return top.empty() ? 0.0 : std::abs(static_cast<double>(top.front().value));
}

double SequenceMagnitudes::max_over_median() const {
  return max_abs() == 0.0 ? 0.0 : max_abs() / median();
}

double SequenceMagnitudes::kurtosis() const {
  return powers.m2 == 0.0 ? 0.0 : powers.count * powers.m4 / (powers.m2 * powers.m2);
}

double SequenceMagnitudes::excess_kurtosis() const {
  return powers.m2 == 0.0 ? 0.0 : kurtosis() - 3.0;
}

double LayerMagnitudes::quantile_pooled(double probability) const {
  if (pooled.count() == 0) return 0.0;
  const auto rank = observe::quantile_rank(probability, pooled.count());
  return static_cast<double>(pooled.order_statistic(rank));
}

}  // namespace massact

#include "massact/observe/magnitudes.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "massact/base/error.h"
#include "massact/observe/background.h"
#include "massact/run/plan.h"

namespace massact::observe {
namespace {

// Dimensions compared with each other by the automatic rule.
constexpr std::size_t kPeaks = 48;

constexpr std::size_t kMedianIndex = 1;
static_assert(kQuantiles[kMedianIndex] == 0.5);

int hidden_state_layer(Site site) {
  const bool is_embedding = site.kind == SiteKind::resid_pre && site.block == 0;
  require(is_embedding || site.kind == SiteKind::resid_post, name_of(site),
          "expected a hidden state (resid_post, or resid_pre of block 0)");
  return layer_of(site);
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

void sort_unique(std::vector<std::int32_t>& numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
}

std::size_t index_in(const std::vector<std::int32_t>& sorted, std::int32_t number) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), number);
  return static_cast<std::size_t>(at - sorted.begin());
}

// Fills `peaks` and the medians of peaks and of the top values that may be reported as large.
void add_background(ConstFloatMatrix values, const std::vector<std::int32_t>& peak_dimensions,
                    Threads& threads, SequenceMagnitudes& out) {
  const auto end_large = std::find_if(out.top.begin(), out.top.end(), [&](const Magnitude& m) {
    return std::abs(static_cast<double>(m.value)) < kLargeRatio * out.median();
  });
  std::vector<std::int32_t> dimensions = peak_dimensions, positions;
  for (auto m = out.top.begin(); m != end_large; ++m) {
    dimensions.push_back(m->dimension);
    positions.push_back(m->position);
  }
  sort_unique(dimensions);
  const auto columns = read_columns(values, dimensions, threads);
  std::vector<Scalar> peaks;
  for (const std::int32_t d : peak_dimensions)
    peaks.push_back(columns[index_in(dimensions, d)].peak);
  std::sort(peaks.begin(), peaks.end(), larger);
  for (const Scalar& peak : peaks) {
    out.peaks.push_back({peak.value, peak.position, peak.dimension, 0.0f, 0.0f});
    positions.push_back(peak.position);
  }
  sort_unique(positions);
  const auto rows = read_rows(values, positions, threads);
  const auto complete = [&](Magnitude& m) {
    const float magnitude = std::abs(m.value);
    m.token_median = rows[index_in(positions, m.position)].without(magnitude);
    m.dimension_median = columns[index_in(dimensions, m.dimension)].median.without(magnitude);
  };
  std::for_each(out.top.begin(), end_large, complete);
  std::for_each(out.peaks.begin(), out.peaks.end(), complete);
}

// Exact also where more scalars meet the strict rule than `top` holds.
std::int64_t count_strict(ConstFloatMatrix values, const SequenceMagnitudes& sequence) {
  const Rule strict = Rule::strict();
  const double median = sequence.median();
  const auto in_top =
      std::count_if(sequence.top.begin(), sequence.top.end(),
                    [&](const Magnitude& m) { return meets(strict, m.value, median); });
  if (in_top < std::ssize(sequence.top)) return in_top;
  std::int64_t count = 0;
  for (std::int64_t r = 0; r < values.rows; ++r) {
    count += std::count_if(values.row(r), values.row(r) + values.cols,
                           [&](float x) { return meets(strict, x, median); });
  }
  return count;
}

// Of a sequence at a layer beside its values: measured, on scans of up to 10,000 images.
constexpr std::uint64_t kSequenceBytes = 720;
constexpr double kOctavesAbove = 4.0;  // of a histogram, with values above the usual ones

}  // namespace

HiddenStates HiddenStates::of(const Plan& plan, std::int64_t layers, int threads) {
  HiddenStates watched{.layers = layers,
                       .sequences = plan.sequence_count(),
                       .width = plan.model().config().width,
                       .threads = threads};
  for (const std::int64_t rows : plan.lengths()) {
    watched.rows += rows;
    watched.longest = std::max(watched.longest, rows);
  }
  return watched;
}

std::uint64_t magnitudes_bytes(const HiddenStates& watched, const MagnitudeOptions& options) {
  const auto layers = static_cast<std::uint64_t>(watched.layers);
  const auto width = static_cast<std::uint64_t>(watched.width);
  const auto threads = static_cast<std::uint64_t>(watched.threads);
  const std::uint64_t values = static_cast<std::uint64_t>(options.top_k) * sizeof(Magnitude);
  const std::uint64_t sequences =
      static_cast<std::uint64_t>(watched.sequences) * layers * (values + kSequenceBytes);
  // Of n values around 0 the smallest is about the n-th part of the usual.
  const auto octaves = static_cast<std::uint64_t>(
      std::log2(static_cast<double>(watched.rows) * static_cast<double>(watched.width) + 1.0) +
      kOctavesAbove);
  const std::uint64_t pooled = layers * (octaves * kBinsPerOctave + width) * sizeof(std::uint64_t);
  const std::uint64_t passes =
      (1 + threads) * octaves * kBinsPerOctave * sizeof(std::uint32_t) +
      threads * (3 * width + kQuantiles.size() * kRefineCount) * sizeof(std::uint32_t);
  return sequences + pooled + passes;
}

Magnitudes::Magnitudes(MagnitudeOptions options)
    : options_(options), passes_(std::make_unique<MagnitudePasses>()) {
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
  LayerMagnitudes& layer = layers_[hidden_state_layer(view.site)];
  require(layer.sequences.empty() || layer.sequences.back().sequence < view.sequence,
          name_of(view.site), "expected a sequence after {}, got {}",
          layer.sequences.empty() ? -1 : layer.sequences.back().sequence, view.sequence);
  if (layer.tokens == 0) layer.outlier_counts.resize(static_cast<std::size_t>(values.cols));
  require(values.cols == std::ssize(layer.outlier_counts), name_of(view.site),
          "expected width {}, got {}", layer.outlier_counts.size(), values.cols);

  passes_->first_pass(values, threads);
  if (passes_->max_bits() >= kInfinityBits) {
    *passes_ = {};  // its histogram was not moved out
    fail_not_finite(view, values);
  }
  passes_->move_histogram(layer.pooled, threads);
  passes_->add_outlier_counts(layer.outlier_counts);
  layer.tokens += static_cast<std::uint64_t>(values.rows);

  SequenceMagnitudes result;
  result.sequence = view.sequence;
  result.positions = values.rows;
  result.width = values.cols;
  result.powers = passes_->sums().powers;
  result.mean_abs = passes_->sums().abs_sum / result.powers.count;
  const auto k = static_cast<std::size_t>(options_.top_k);
  const std::vector<Scalar> scalars = passes_->second_pass(values, k, threads, result.quantiles);
  for (const Scalar& scalar : scalars) {
    result.top.push_back({scalar.value, scalar.position, scalar.dimension, 0.0f, 0.0f});
  }
  if (result.max_abs() >= kLargeRatio * result.median()) {
    add_background(values, passes_->peak_dimensions(std::min(k, kPeaks)), threads, result);
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
  const auto rank = quantile_rank(probability, pooled.count());
  return static_cast<double>(pooled.order_statistic(rank));
}

}  // namespace massact::observe

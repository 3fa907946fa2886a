// The observer behind `massact scan`: how large the residual stream is, layer by layer.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "massact/observe/abs_histogram.h"
#include "massact/observe/magnitude_passes.h"
#include "massact/run/finding.h"
#include "massact/run/observer.h"

namespace massact {
class Plan;
}

namespace massact::observe {

/// One of the largest values of a sequence at a layer.
struct Magnitude {
  float value = 0.0f;  ///< signed
  std::int32_t position = 0;
  std::int32_t dimension = 0;
  /// Lower medians of |h| over the other dimensions of the same token and over the other tokens of
  /// the same dimension; 0 if there are none, and in `top` below 10 medians: not needed there.
  float token_median = 0.0f;
  float dimension_median = 0.0f;

  bool operator==(const Magnitude&) const = default;
};

/// One sequence at one layer.
struct SequenceMagnitudes {
  std::int64_t sequence = 0;
  std::int64_t positions = 0;
  std::int64_t width = 0;
  std::vector<Magnitude> top;    ///< the K largest |h|, falling; ties by position, then dimension
  std::vector<Magnitude> peaks;  ///< the largest |h| of each of the K dimensions where it is
                                 ///< largest, falling; empty below 10 medians (see Magnitude)
  Quantiles quantiles{};         ///< of |h|, exact order statistics
  PowerSums powers;              ///< of h, over the flattened tensor
  double mean_abs = 0.0;
  std::int64_t strict_count = 0;  ///< scalars that meet the strict rule, also beyond `top`

  /// Lower median of |h|, exact.
  double median() const { return static_cast<double>(quantiles[1]); }
  double max_abs() const;
  /// max |h| / median; 0 if both are 0, infinity if only the median is.
  double max_over_median() const;
  /// E[(x - mean)^4] / sigma^4 (3 for a normal distribution); 0 for a constant.
  double kurtosis() const;
  /// kurtosis - 3; 0 for a constant.
  double excess_kurtosis() const;

  bool operator==(const SequenceMagnitudes&) const = default;
};

/// One layer over all sequences.
struct LayerMagnitudes {
  std::vector<SequenceMagnitudes> sequences;  ///< by sequence
  AbsHistogram pooled;                        ///< of |h|, all sequences
  std::vector<std::uint64_t> outlier_counts;  ///< [d] tokens with |h| >= 6
  std::uint64_t tokens = 0;

  /// Lower median and quantiles of |h| over all sequences, to a relative error of 2^-13.
  double median_pooled() const { return quantile_pooled(0.5); }
  double quantile_pooled(double probability) const;

  bool operator==(const LayerMagnitudes&) const = default;
};

struct MagnitudeOptions {
  std::int64_t top_k = 64;  ///< values kept per layer and sequence
};

/// How much there is to watch.
struct HiddenStates {
  std::int64_t layers = 0;     ///< watched ones
  std::int64_t sequences = 0;  ///< as all below, of a whole run
  std::int64_t rows = 0;       ///< of all sequences
  std::int64_t longest = 0;    ///< rows of the longest sequence
  std::int64_t width = 0;
  int threads = 1;

  /// Of a run with so many threads over the plan's input.
  static HiddenStates of(const Plan& plan, std::int64_t layers, int threads);
};

/// Bytes that Magnitudes keeps, a scan's report included.
std::uint64_t magnitudes_bytes(const HiddenStates& watched, const MagnitudeOptions& options);

/// Watches the residual stream of one stream: `resid_post` of any blocks (layer = block + 1) and
/// `resid_pre` of block 0 (layer 0). Everything it keeps is exact and independent of thread count
/// and batch size; merging observers over disjoint sequences gives, bit for bit, the observer over
/// all of them.
///
/// Throws Error, naming site, sequence, position and dimension, for values that are not finite.
class Magnitudes final : public Observer {
 public:
  explicit Magnitudes(MagnitudeOptions options = {});
  void observe(const SiteView& view, Threads& threads) override;

  /// Takes in an observer over other sequences. Throws Error if both saw the same sequence of the
  /// same layer, or differ in options or width.
  void merge(const Magnitudes& other);

  /// By layer as users count (0: the embedding).
  const std::map<int, LayerMagnitudes>& layers() const { return layers_; }
  const MagnitudeOptions& options() const { return options_; }

  /// How many different sequences were seen.
  std::int64_t sequence_count() const;

  /// The scalars that meet `rule`, grouped by position class and dimension over layers and
  /// sequences.
  FindingSet findings(const Rule& rule, const PositionLabels& labels) const;

  /// The largest value of every layer and sequence, whatever its size, grouped in the same way and
  /// labelled not massive; the `count` groups with the largest ratios.
  FindingSet candidates(std::size_t count, const PositionLabels& labels) const;

 private:
  void take(const SiteView& view, ConstFloatMatrix values, Threads& threads);

  MagnitudeOptions options_;
  std::map<int, LayerMagnitudes> layers_;
  int stream_ = -1;
  std::unique_ptr<MagnitudePasses> passes_;
  std::vector<float> pending_;  // pieces of a sequence that has not come in whole yet
};

/// A layer's `LayerMagnitudes::outlier_counts` as outlier features (Dettmers 2022, arXiv
/// 2208.07339): |h| >= 6 in >= 6 % of the tokens, at >= 25 % of the layers after the blocks.
struct OutlierDimension {
  std::int64_t dimension = 0;
  double layer_share = 0.0;  ///< of the layers, where it is one
  double token_share = 0.0;  ///< of the tokens of all layers with |h| >= 6
};
std::vector<OutlierDimension> outlier_dimensions(const Magnitudes& magnitudes);

}  // namespace massact::observe

// The main study: where a model's massive activations are. One pass over the text with the
// residual stream observed, turned into a layer curve and findings.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "massact/base/progress.h"
#include "massact/observe/magnitudes.h"
#include "massact/run/executor.h"
#include "massact/run/finding.h"
#include "massact/study/image_facts.h"
#include "massact/study/run_facts.h"
#include "massact/study/scan_routing.h"
#include "massact/study/scan_window.h"
#include "massact/text/corpus.h"
#include "massact/text/position_class.h"

namespace massact {

/// The probabilities of `LayerRow::quantiles`.
inline constexpr std::array<double, 7> kScanQuantiles{0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999};

/// One of the largest values of a layer.
struct TopValue {
  float value = 0.0f;  ///< signed
  std::int64_t sequence = 0;
  std::int64_t position = 0;
  std::int64_t dimension = 0;
  std::int32_t token_id = -1;
  std::string token;           ///< the token's text
  std::string position_class;  ///< as in Finding
  double ratio = 0.0;          ///< |value| / that sequence's median
};

/// What one sequence looks like at one layer: the values as measured.
struct SequenceRow {
  std::int64_t sequence = 0;
  std::array<double, 3> top{};  ///< the three largest |h|
  double median = 0.0;          ///< lower median of |h|, exact
};

/// One point of the layer curve: the hidden state after block `layer` (0: the embedding).
struct LayerRow {
  int layer = 0;
  std::array<double, 3> top{};    ///< the three largest |h| of a sequence, averaged over sequences
  double median = 0.0;            ///< mean over sequences of the exact lower median of |h|
  double median_pooled = 0.0;     ///< lower median over all sequences, to 2^-13 relative
  std::vector<double> quantiles;  ///< of |h|, at kScanQuantiles; mean over sequences, each exact
  std::vector<double> quantiles_pooled;  ///< over all sequences, to 2^-13 relative
  double max_abs = 0.0;                  ///< over all sequences
  double max_over_median = 0.0;   ///< mean over sequences of the largest |h| / its own median
  double mean_abs = 0.0;          ///< mean |h| over everything
  double kurtosis = 0.0;          ///< E[(x-mu)^4]/sigma^4 of the flattened tensor, sequence mean
  double excess_kurtosis = 0.0;   ///< kurtosis - 3
  std::int64_t strict_count = 0;  ///< scalars that meet the strict rule, all sequences
  std::vector<TopValue> largest;  ///< the largest over all sequences, falling
  std::vector<SequenceRow> sequences;  ///< by sequence
};

/// A feature dimension that is an outlier in the sense of Dettmers 2022 (arXiv 2208.07339):
/// |h| >= 6 in >= 6 % of the tokens at >= 25 % of the layers (after the blocks).
struct OutlierFeature {
  std::int64_t dimension = 0;
  double layer_share = 0.0;  ///< layers at which it is one
  double token_share = 0.0;  ///< tokens with |h| >= 6, over all layers and sequences
  bool has_finding = false;  ///< the dimension of a finding labelled massive
};

/// How the run was done, and on what.
struct ScanFacts : RunFacts {
  std::string text;                  ///< what was read: file names, as the corpus tells them
  std::optional<ImageFacts> images;  ///< if that were images: each is a sequence
  bool bos = false;                  ///< effective policy: a BOS before every sequence
  std::int64_t seq_len = 0;          ///< of a full sequence
  std::int64_t sequences = 0;
};

/// What a finished run says of itself; the caller adds what was read (text or images, BOS).
ScanFacts scan_facts(const Plan& plan, const RunReport& report);

/// Everything `massact scan` reports.
struct ScanResult {
  ScanFacts facts;
  std::vector<LayerRow> layers;  ///< ascending; layer 0 is the embedding
  /// Findings by the rule that was asked for. If that finds nothing and is not automatic, also by
  /// `automatic`; if nothing was found by then, also `candidates`.
  FindingSet findings;
  std::optional<FindingSet> automatic;
  /// The largest values, grouped in the same way and labelled not massive.
  std::optional<FindingSet> candidates;
  std::vector<OutlierFeature> outlier_features;
  /// Of models with experts, for the findings of `best()`.
  std::optional<ScanRouting> routing;
  ScanWindow window;                  ///< for pictures
  std::vector<std::string> warnings;  ///< for people: truncated top-k and the like

  /// The set that commands in need of findings use: the last of the three that is present.
  const FindingSet& best() const;
};

struct ScanOptions {
  RunOptions run;
  Rule rule;
  PositionLists classes = PositionLists::defaults();
  std::vector<int> layers;     ///< as users count, 0 the embedding; empty: all
  std::int64_t top_k = 64;     ///< values kept per layer and sequence
  std::size_t largest = 16;    ///< `LayerRow::largest` at most
  std::size_t candidates = 8;  ///< `ScanResult::candidates` at most
};

/// Bytes that a scan keeps of what it watches.
std::uint64_t scan_bytes(const ModelConfig& config, const observe::HiddenStates& watched,
                         std::int64_t top_k);

/// Runs the corpus through the model once and finds what is massive. Throws Error for values that
/// are not finite (naming layer, site and position) and for everything a run can meet.
ScanResult run_scan(const Model& model, const Corpus& corpus, const ScanOptions& options,
                    Progress& progress);

/// The same for images: a sequence is an image, its positions are class token, registers and
/// patches (image_labels.h).
ScanResult run_scan(const Model& model, std::shared_ptr<const ImageFiles> images,
                    const ScanOptions& options, Progress& progress);

}  // namespace massact

// The causal argument: set the massive activations to zero, to their mean, and as many other
// scalars to zero, and measure what breaks. All variants run in one pass over the weights.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "massact/edit/edit_plan.h"
#include "massact/study/ablate_targets.h"
#include "massact/study/eval.h"
#include "massact/study/image_facts.h"
#include "massact/study/image_split.h"

namespace massact {

/// Which scalars are edited: those that meet the rule in each sequence, or every scalar of the
/// findings' (position class, dimension) pairs.
enum class SelectorKind : std::uint8_t { found, position_class };

struct AblateOptions {
  Rule rule;
  SelectorKind selector = SelectorKind::found;
  /// The automatic variants (original, zero, mean, controls) unless a plan is given.
  std::optional<edit::EditPlan> plan;
  std::vector<double> sweep;  ///< additional variants: the targets times each factor
  bool each_layer = false;    ///< additional variants: zero at each layer separately
  std::uint64_t seed = 0;     ///< of the random control and of noise
  PositionLists classes = PositionLists::defaults();
  RunOptions run;
};

/// What a row of the causal table is.
enum class VariantKind : std::uint8_t {
  original,
  zero,
  mean,
  random,
  near_median,
  outlier_features,
  one_finding,
  sweep,
  each_layer,
  plan
};

/// A row of the causal table.
struct VariantRow {
  std::string name;
  VariantKind kind = VariantKind::plan;
  std::string description = {};
  int layer = -1;            ///< the edited layer as users count; -1: none or several
  double factor = 0.0;       ///< sweep
  std::int64_t scalars = 0;  ///< values set in the whole run
  Measures measures = {};
};

/// Everything `massact ablate` reports.
struct AblateResult {
  RunFacts facts;
  Split split;
  std::optional<Targets> targets;  ///< none if a plan needs no findings
  SelectorKind selector = SelectorKind::found;
  std::vector<MeasureSet::Text> texts;
  std::vector<MeasureSet::Task> tasks;
  std::optional<ImageFacts> images;  ///< of vision models, instead of texts and tasks: evaluated
  std::vector<VariantRow> rows;      ///< the original first
  /// One sentence about all targets, one about each where it was ablated alone.
  std::vector<std::string> verdicts;
  std::vector<std::string> warnings;
  /// Of the run with variants, in passes of the original: 1 + Σ(L−l)/L + 1 for every variant with
  /// other weights.
  double forward_passes = 0.0;
};

/// Streams cut into the sequences that calibrate and the streams that are evaluated.
struct CalibrationSplit {
  std::vector<Plan::Tokens> calibration;
  TokenStreams evaluation;
  Split split;
};

/// The first fifth (at least one) of the text's full windows calibrates, the rest evaluates.
/// Throws Error if the text has fewer than two.
CalibrationSplit split_text(const Model& model, TokenStreams streams,
                            const PerplexityRequest& request);
/// `calibration` calibrates (its first `max_windows` windows), all of `streams` evaluates; windows
/// that both have are counted in `overlap`.
CalibrationSplit split_text(const Model& model, TokenStreams streams,
                            const TokenStreams& calibration, const PerplexityRequest& request);

/// Scans, edits, measures. `set`: what to measure, made of the split's evaluation streams.
AblateResult run_ablate(const Model& model, const MeasureSet& set, const CalibrationSplit& split,
                        const AblateOptions& options, Progress& progress);

/// The same argument on images: measured by top-1 and top-5 where there are labels and a
/// classifier, by the divergence of its prediction, and by the cosine of the features
/// (eval/image_board.h).
AblateResult run_ablate(const Model& model, const ImageSplit& split, const AblateOptions& options,
                        Progress& progress);

}  // namespace massact

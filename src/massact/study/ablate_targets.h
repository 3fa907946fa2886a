// What an ablation is about: the scan of its sequences, the scalars that meet the rule in each, and
// their means over the calibration sequences.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "massact/base/progress.h"
#include "massact/edit/edit_plan.h"
#include "massact/run/executor.h"
#include "massact/run/finding.h"
#include "massact/text/position_class.h"

namespace massact {

/// One finding as an ablation uses it.
struct AblationTarget {
  Finding finding;              ///< over calibration and evaluation sequences
  double mean = 0.0;            ///< signed, over the calibration sequences at the edited layer
  std::int64_t mean_count = 0;  ///< n of that mean; 0: it met the rule nowhere there
};

struct Targets {
  FindingSet findings;                  ///< by the rule that found something
  Label label = Label::massive;         ///< not_massive: candidates, the largest values there are
  int layer = 0;                        ///< the first at which a target appears
  std::vector<AblationTarget> targets;  ///< those that appear at `layer`
  std::vector<std::int64_t> outlier_dimensions;  ///< Dettmers's, by falling share of tokens

  /// Of the evaluation sequences, numbered as in their plan, by layer.
  std::map<int, std::shared_ptr<const edit::ScalarLists>> found;
  std::map<int, std::shared_ptr<const edit::Means>> means;
  /// Lower medians of |h| at `layer`, by evaluation sequence.
  std::map<std::int64_t, double> medians;
  std::vector<std::string> notes;
  RunReport run;
};

/// What is scanned for targets: the plan's first `calibration` sequences calibrate, the rest is
/// evaluated. `labels` are those of the whole plan.
struct TargetSearch {
  Plan plan;
  std::shared_ptr<const PositionLabels> labels;
  std::int64_t calibration = 0;

  /// The scan as a run to come.
  RunToCome run(const RunOptions& options) const;
};

/// Calibration and evaluation sequences of tokens.
TargetSearch search_texts(const Model& model, const std::vector<Plan::Tokens>& calibration,
                          const std::vector<Plan::Tokens>& evaluation,
                          const PositionLists& classes);

/// Scans in one pass over the layers. If the rule finds nothing, `automatic` is tried; if that
/// finds nothing, the largest value of every sequence is the target, labelled not massive. `notes`
/// say so.
Targets find_targets(TargetSearch& search, const Rule& rule, const RunOptions& options,
                     Progress& progress);

}  // namespace massact

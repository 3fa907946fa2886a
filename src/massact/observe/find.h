// From scalars that meet a rule to findings: the grouping over layers and sequences.
#pragma once

#include <cstdint>
#include <vector>

#include "massact/observe/magnitudes.h"
#include "massact/run/finding.h"

namespace massact::observe {

/// A scalar that meets a rule.
struct Hit {
  int layer = 0;
  std::int64_t sequence = 0;
  Magnitude magnitude;
  double median = 0.0;  ///< of its layer and sequence
};

/// Groups hits by position class and dimension. Sequence shares are relative to the sequences that
/// `magnitudes` saw at the peak layer. Findings are labelled `label` and sorted by ratio, falling.
std::vector<Finding> group(const std::vector<Hit>& hits, const Magnitudes& magnitudes,
                           const PositionLabels& labels, Label label);

/// The scalars beyond the gaps that are significant over all sequences, and what the gaps are.
struct AutomaticHits {
  std::vector<Hit> hits;
  std::vector<LayerGap> gaps;
};
AutomaticHits automatic_hits(const Magnitudes& magnitudes);

}  // namespace massact::observe

// The scalars that commands in need of findings work with: by the rule as asked for, else by the
// automatic one, else the largest there are.
#pragma once

#include <string>
#include <vector>

#include "massact/observe/magnitudes.h"
#include "massact/run/finding.h"

namespace massact {

struct FoundScalar {
  int layer = 0;
  std::int64_t sequence = 0;
  std::int64_t position = 0, dimension = 0;  ///< the sink token's row counts as a position
  float value = 0.0f;
};

struct FoundScalars {
  FindingSet findings;           ///< by the rule that found something
  Label label = Label::massive;  ///< of the findings that count: the best label among them
  /// All scalars that met that rule and belong to a finding of that label.
  std::vector<FoundScalar> scalars;
  std::vector<std::string> notes;  ///< for people: which rules found nothing
};

/// `magnitudes` must have watched all layers. If `rule` finds nothing, `automatic` is tried; if
/// that finds nothing, the largest value of every layer and sequence counts, labelled not massive.
FoundScalars find_scalars(const observe::Magnitudes& magnitudes, const Rule& rule,
                          const PositionLabels& labels);

/// Leaves the first finding of `found.label`, and its scalars.
void keep_first(const PositionLabels& labels, FoundScalars& found);

}  // namespace massact

// Edits of weights: the super weight, massive weights (rows of a projection).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "massact/model/model.h"

namespace massact::edit {

/// Changes one weight, named canonically ("blocks.1.mlp.W_out"). Rows and columns are those of the
/// matrix that the weight is for the engine, whatever the file's layout (`WeightPlacement`).
struct WeightEdit {
  std::string where;  ///< for errors
  std::string weight;
  /// One element, a whole row (column -1) or a whole column (row -1), multiplied by `factor` …
  std::int64_t row = -1, column = -1;
  double factor = 0.0;
  std::int64_t prune_rows = 0;  ///< … or the rows with the largest norms, zeroed
};

/// Throws UsageError for unknown weights (with near names), elements outside the weight, and
/// contradicting edits of the same element; Error for rows to prune of which one holds a NaN. Reads
/// no weights but those whose rows are pruned.
void require_weight_edits(const Model& model, const std::vector<WeightEdit>& edits);

/// The same model with other weights. Files are not touched and nothing is copied: elements change
/// as they are read (after they are decoded), rounded to the file's type if that is F16 or BF16.
/// Throws as `require_weight_edits`.
Model with_weight_edits(const Model& model, const std::vector<WeightEdit>& edits);

}  // namespace massact::edit

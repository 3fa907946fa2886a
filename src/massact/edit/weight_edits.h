// Edits of weights: the super weight, massive weights (rows of a projection).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "massact/model/model.h"

namespace massact::edit {

/// Changes one weight tensor, named canonically ("blocks.1.mlp.W_out") as it lies in the file.
struct WeightEdit {
  std::string where;  ///< for errors
  std::string weight;
  /// One element, a whole row (column -1) or a whole column (row -1), multiplied by `factor` …
  std::int64_t row = -1, column = -1;
  double factor = 0.0;
  std::int64_t prune_rows = 0;  ///< … or the rows with the largest norms, zeroed
};

/// The same model with other weights. Files are not touched; the changed tensors are held in memory
/// in their own type. Throws UsageError for unknown weights, elements outside the tensor, and
/// contradicting edits of the same element; Error for block-quantised tensors.
Model with_weight_edits(const Model& model, const std::vector<WeightEdit>& edits);

}  // namespace massact::edit

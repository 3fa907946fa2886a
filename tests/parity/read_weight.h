// Test helper: a weight as the engine reads it.
#pragma once

#include <string>
#include <vector>

#include "massact/model/weight_table.h"
#include "massact/ops/cpu/weight_reader.h"

namespace massact::testing_support {

// What blocks, embeddings and heads read as vectors or rows, and not as a projection.
inline bool is_projection(const std::string& name) {
  return name.find("W_") != std::string::npos && name.find("W_E") == std::string::npos &&
         name.find("W_pos") == std::string::npos;
}

// A weight as the engine reads it, row after row.
inline std::vector<float> read_weight(const BoundWeights& weights, const std::string& name) {
  if (!is_projection(name)) return weights.vector(name);
  const auto matrix = weights.matrix(name);
  std::int64_t rows = 0;
  for (const ops::WeightSlice& slice : matrix.slices) rows += slice.out;
  std::vector<float> values(static_cast<std::size_t>(rows * matrix.slices.front().in));
  ops::cpu::read_weight_rows(matrix.slices, 0, rows, values.data());
  return values;
}

}  // namespace massact::testing_support

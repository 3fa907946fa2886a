// Single lines of a projection's weights: what writes one output.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "massact/model/model.h"

namespace massact::observe {

/// Reads lines of a model's projections. Keeps decoded projections of one block at a time. Not
/// thread-safe.
class WeightLines {
 public:
  explicit WeightLines(Model model) : model_(std::move(model)) {}

  /// The weights [inputs] of one output of a projection ("blocks.3.mlp.W_out").
  std::vector<float> of_output(const std::string& canonical, std::int64_t output);
  bool has(const std::string& canonical) const { return model_.weights().has(canonical); }
  /// A vector weight, empty if the model has none.
  std::vector<float> vector(const std::string& canonical) const {
    return model_.weights().vector(canonical);
  }
  /// Element `index` of a bias, 0 if the model has none.
  float bias_at(const std::string& canonical, std::int64_t index) const;
  const ModelConfig& config() const { return model_.config(); }
  /// Forgets what was read, and lets the file's pages go.
  void clear();

 private:
  const BoundWeights::Matrix& matrix_of(const std::string& canonical);

  Model model_;
  std::map<std::string, BoundWeights::Matrix> matrices_;
};

}  // namespace massact::observe

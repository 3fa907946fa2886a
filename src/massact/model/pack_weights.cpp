#include "massact/model/pack_weights.h"

namespace massact {

ops::PackedMatrix pack_weights(const BoundWeights& weights, const std::string& prefix,
                               std::initializer_list<const char*> names, ops::Precision precision,
                               Threads& threads) {
  std::vector<BoundWeights::Matrix> matrices;
  std::vector<ops::WeightSlice> slices;
  for (const char* name : names) {
    matrices.push_back(weights.matrix(prefix + name));
    const auto& parts = matrices.back().slices;
    slices.insert(slices.end(), parts.begin(), parts.end());
  }
  return ops::PackedMatrix::pack(slices, precision, threads);
}

}  // namespace massact

#include "massact/model/pack_weights.h"

#include <set>

#include "massact/base/interrupt.h"

namespace massact {

ops::PackedMatrix pack_weights(const BoundWeights& weights, const std::string& prefix,
                               WeightStack names, ops::Precision precision, Threads& threads) {
  check_interrupted();  // large blocks take seconds
  std::vector<BoundWeights::Matrix> matrices;
  std::vector<ops::WeightSlice> slices;
  for (const char* name : names) {
    matrices.push_back(weights.matrix(prefix + name));
    const auto& parts = matrices.back().slices;
    slices.insert(slices.end(), parts.begin(), parts.end());
  }
  auto packed = ops::PackedMatrix::pack(slices, precision, threads);
  for (const char* name : names) weights.release(prefix + name);
  return packed;
}

std::uint64_t packing_bytes(const BoundWeights& weights, const std::string& prefix,
                            WeightStack names) {
  std::set<std::string> sources;  // parts of a fused tensor have the same one
  std::uint64_t bytes = 0;
  for (const char* name : names) {
    for (const auto& found : weights.names(prefix + name)) {
      sources.insert(weights.source_name(found));
      bytes += weights.decoded_bytes(found);
    }
  }
  for (const auto& source : sources) bytes += weights.source().info(source).bytes;
  return bytes;
}

}  // namespace massact

// What stands behind SAM's last block: two convolutions over the grid of patches.
#pragma once

#include <cstdint>

#include "massact/model/model.h"
#include "massact/model/norm_layer.h"
#include "massact/ops/matmul.h"

namespace massact {

/// A projection of each patch, a norm, a 3 × 3 convolution over patches (zeros around the grid), a
/// norm (arXiv 2304.02643, after arXiv 2203.16527); no biases but the norms'. Immutable;
/// thread-safe.
class Neck {
 public:
  Neck(const Model& model, ops::Precision precision, Threads& threads);

  /// features [T, n] of an image's patches hidden [T, d], row by row.
  void run(ConstFloatMatrix hidden, FloatMatrix features, Threads& threads) const;

  static std::uint64_t packed_bytes(const ModelConfig& config, ops::Precision precision);
  /// Bytes that `run` takes.
  static std::uint64_t workspace_bytes(const ModelConfig& config);

 private:
  void normalise(const NormWeights& norm, FloatMatrix x, Threads& threads) const;

  Model model_;
  ops::PackedMatrix projection_, convolution_;
  NormWeights ln1_, ln2_;
};

}  // namespace massact

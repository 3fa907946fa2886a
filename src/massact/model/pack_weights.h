// Weights from the file to the kernels' layout.
#pragma once

#include <initializer_list>
#include <string>

#include "massact/model/weight_table.h"
#include "massact/ops/matmul.h"

namespace massact {

/// Names of weights that one product reads, stacked along their outputs.
using WeightStack = std::initializer_list<const char*>;

/// The weights `prefix` + name ("blocks.3." + "attn.W_Q"), stacked along their outputs. Their pages
/// of the file are released: a block's weights are never in memory twice as a whole.
ops::PackedMatrix pack_weights(const BoundWeights& weights, const std::string& prefix,
                               WeightStack names, ops::Precision precision, Threads& threads);

/// Bytes that packing them holds beside the result: as they are stored, and decoded where that is
/// not done row by row. Weights that the model lacks count nothing.
std::uint64_t packing_bytes(const BoundWeights& weights, const std::string& prefix,
                            WeightStack names);

}  // namespace massact

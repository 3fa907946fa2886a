// Weights from the file to the kernels' layout.
#pragma once

#include <initializer_list>
#include <string>

#include "massact/model/weight_table.h"
#include "massact/ops/matmul.h"

namespace massact {

/// The weights `prefix` + name ("blocks.3." + "attn.W_Q"), stacked along their outputs.
ops::PackedMatrix pack_weights(const BoundWeights& weights, const std::string& prefix,
                               std::initializer_list<const char*> names, ops::Precision precision,
                               Threads& threads);

}  // namespace massact

// What a head reads of a sequence: one row of its tokens' rows.
#pragma once

#include <vector>

#include "massact/model/config.h"
#include "massact/tensor/tensor.h"

namespace massact {

/// What the head's product reads, of normed [T, d], the final norm's output for the whole sequence
/// without the sink token: [1, d], or [1, 2 d] where two parts are concatenated. Only for heads
/// that pool.
std::vector<float> pooled(const ModelConfig& config, ConstFloatMatrix normed);

/// Length of what `pooled` gives.
std::int64_t pooled_width(const ModelConfig& config);

}  // namespace massact

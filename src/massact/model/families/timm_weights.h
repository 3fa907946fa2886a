#pragma once

#include "massact/model/config.h"
#include "massact/model/weight_table.h"

namespace massact {

/// The weight table of timm's vision transformers; also knows Meta's names for DINOv2's registers
/// and gated MLP.
WeightTable timm_weights(const ModelConfig& model);

}  // namespace massact

#pragma once

#include "massact/io/json.h"
#include "massact/model/config.h"
#include "massact/model/weight_table.h"

namespace massact {

/// OpenCLIP's configuration ("model_cfg" of open_clip_config.json) as HF's CLIPConfig would say it.
/// Throws Error that names a field for what CLIP's towers do not have.
JsonObject open_clip_as_hf(const JsonObject& config);

/// The names of OpenCLIP's (and OpenAI's own) tensors, for either tower.
WeightTable open_clip_weights(const ModelConfig& model);

}  // namespace massact

// OpenAI's own files of CLIP (ViT-B-32.pt): TorchScript archives without a configuration.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "massact/io/weight_source.h"

namespace massact {

/// What open_clip_config.json would say of such a file, by its tensors' names and shapes, as
/// OpenAI's own loader derives it: heads are 64 wide, GELU is the quick one. Null for other
/// tensors. Throws Error naming `where` for CLIP's ResNets.
nlohmann::json openai_clip_options(const WeightSource& weights, const std::string& where);

}  // namespace massact

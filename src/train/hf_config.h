// A model's config.json, as Hugging Face transformers reads it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "train/config.h"

namespace massact {
class JsonObject;
}

namespace massact::train {

/// HF's config.json (with `massact.attention`) of `config`; `dtype` is "float32" or "bfloat16". A
/// vit is a `dinov2`, with registers a `dinov2_with_registers`, and has no `bos_id`.
nlohmann::json hf_config(const ModelConfig& config, std::string_view dtype, int bos_id);

/// Reads back what `hf_config` writes; throws Error naming file and field.
ModelConfig model_config_from_hf(const JsonObject& json);

/// preprocessor_config.json of a vit: an image of the model's size goes through unchanged but for
/// x / 255 and kPixelMean, kPixelStd.
nlohmann::json hf_preprocessor(const ModelConfig& config);

/// Of every channel, after x / 255.
inline constexpr double kPixelMean = 0.5;
inline constexpr double kPixelStd = 0.5;

}  // namespace massact::train

// Meta's files of SAM carry nothing but tensors: their shapes say what the image encoder is.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "massact/io/weight_source.h"

namespace massact {

/// The configuration (model_type "sam_image_encoder", HF's names of fields) of the image encoder
/// whose tensors begin with "image_encoder."; null if `source` has no such tensors. Throws Error
/// naming `where` if a tensor that must tell something is not there or has another rank.
nlohmann::json sam_options(const WeightSource& source, std::string_view where);

}  // namespace massact

// Which of a model directory's files hold the weights.
#pragma once

#include <filesystem>
#include <memory>

#include "massact/io/weight_source.h"

namespace massact {

/// The weights of an HF model directory: `model.safetensors`, its sharded index, or else
/// `pytorch_model.bin` or its index. Throws Error that lists what was looked for.
std::unique_ptr<WeightSource> open_weight_files(const std::filesystem::path& directory);

}  // namespace massact

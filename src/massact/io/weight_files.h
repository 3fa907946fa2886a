// Which of a model directory's files hold the weights.
#pragma once

#include <filesystem>
#include <memory>

#include "massact/io/weight_source.h"

namespace massact {

/// True if the directory holds a file that `open_weight_files` would open.
bool has_weight_files(const std::filesystem::path& directory);

/// The weights of an HF model directory: `model.safetensors`, its sharded index, or else
/// `pytorch_model.bin` or its index. Throws Error that lists what was looked for.
std::unique_ptr<WeightSource> open_weight_files(const std::filesystem::path& directory);

}  // namespace massact

// libtorch tensors <-> safetensors files.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <string>

namespace massact::train {

using NamedTensors = std::map<std::string, at::Tensor>;

/// Writes CPU tensors (float32, bfloat16 or float64). Throws Error if the disk does not take them.
void save_safetensors(const std::filesystem::path& path, const NamedTensors& tensors);

/// Reads a file that `save_safetensors` wrote; every offset is checked against the file.
NamedTensors load_safetensors(const std::filesystem::path& path);

}  // namespace massact::train

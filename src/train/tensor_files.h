// libtorch tensors <-> safetensors files (the format itself is massact's io room).
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <string>

namespace massact::train {

using NamedTensors = std::map<std::string, at::Tensor>;

/// Writes CPU tensors (float32 or bfloat16); the file appears whole or not at all. Throws Error if
/// the disk does not take it.
void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors);

/// All tensors of a safetensors file, as float32.
NamedTensors load_tensors(const std::filesystem::path& path);

}  // namespace massact::train

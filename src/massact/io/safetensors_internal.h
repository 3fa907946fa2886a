// Shared by the readers of single files and of sharded models; not for other rooms.
#pragma once

#include <filesystem>
#include <vector>

#include "massact/io/mapped_weights.h"

namespace massact {

/// Maps and checks one `.safetensors` file.
std::vector<MappedTensor> map_safetensors_file(const std::filesystem::path& path);

}  // namespace massact

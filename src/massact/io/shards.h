// Models in several files: the index that lists which file ("shard") holds which tensor.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "massact/io/mapped_weights.h"

namespace massact {

/// Maps and checks one file.
using MapShard = std::function<std::vector<MappedTensor>(const std::filesystem::path& file)>;

/// Opens all files that an `….index.json` names (`weight_map`: tensor → file beside the index).
/// Throws Error that names all missing files at once, or a tensor that is not where the index says.
std::unique_ptr<WeightSource> open_sharded(const std::filesystem::path& index, const MapShard& map);

}  // namespace massact

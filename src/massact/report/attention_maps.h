// The attention maps that `massact explain --map` left beside explain.json.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "massact/report/result_files.h"

namespace massact {

/// Each map of explain.json as {layer, head, sequence, slot, probabilities: [[…]]}, cut to its
/// first 64 queries and their keys, to four digits. A map whose file is missing or not as
/// announced becomes a MissingPart.
std::vector<nlohmann::json> attention_maps(const nlohmann::json& explain,
                                           const std::filesystem::path& directory,
                                           std::vector<MissingPart>& missing);

}  // namespace massact

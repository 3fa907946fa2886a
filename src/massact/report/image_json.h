// What images a run read, as JSON: the same in every command's file.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "massact/study/image_facts.h"

namespace massact {

/// An object, or null if no images were read (`images` in docs/schema/scan.schema.json).
nlohmann::ordered_json images_json(const std::optional<ImageFacts>& images);

}  // namespace massact

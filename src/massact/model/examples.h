// Configurations of published models, at least one for each way in which a family uses the block.
#pragma once

#include <string_view>
#include <vector>

#include "massact/io/json.h"

namespace massact {

struct ExampleConfig {
  std::string_view model;  ///< "falcon-7b"
  JsonObject config;       ///< the fields of its config.json that a family reads
};

/// In the order of the families.
const std::vector<ExampleConfig>& example_configs();

}  // namespace massact

// Checks JSON against the part of JSON Schema (draft 2020-12) that docs/schema uses.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace massact::testing {

/// What is wrong with `value`, one "path: complaint" each; empty if it is valid. A keyword of the
/// schema that this validator does not know is a complaint as well.
std::vector<std::string> schema_errors(const nlohmann::json& value, const nlohmann::json& schema);

}  // namespace massact::testing

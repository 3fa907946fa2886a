// JSON as text that can always be written: paths and tokens may hold any bytes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace massact {

/// `json` (nlohmann's, ordered or not) as text; what is not UTF-8 in its strings becomes U+FFFD,
/// where nlohmann's own dump() would throw. `indent` -1: on one line.
template <typename Json>
std::string json_text(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// The same as the contents of a file: a level per space, a newline at the end.
template <typename Json>
std::string json_file_text(const Json& json, int indent = 1) {
  return json_text(json, indent) + "\n";
}

}  // namespace massact

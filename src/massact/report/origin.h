// Where a result comes from: enough to repeat it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace massact {

/// The command line of this process as one could type it again.
std::string command_line();

/// This moment, UTC: "2025-01-31T12:00:00Z".
std::string now_utc();

/// {cpu, cores, memory_bytes, system}: no names of hosts or people.
nlohmann::ordered_json machine_json();

/// {command, written, machine}: the field `origin` of result files.
nlohmann::ordered_json origin_json();

}  // namespace massact

// Where a result comes from: enough to repeat it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "massact/study/run_facts.h"

namespace massact {

/// The command line of this process as one could type it again.
std::string command_line();

/// This moment, UTC: "2025-01-31T12:00:00Z".
std::string now_utc();

/// {cpu, cores, memory_bytes, system}: no names of hosts or people.
nlohmann::ordered_json machine_json();

/// {command, written, machine}: the field `origin` of result files.
nlohmann::ordered_json origin_json();

/// {path, family, hash, layers, width}: the field `model` of result files. `model_hash` is that of
/// `hash_of(model)` (report/model_hash.h).
nlohmann::ordered_json model_json(const RunFacts& facts, std::string_view model_hash);

}  // namespace massact

// scan.json: everything a scan measured, for programs. The format is documented in
// docs/scan-json.md and docs/schema/scan.schema.json; its version changes when a reader would
// break.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "massact/study/scan.h"

namespace massact {

inline constexpr std::string_view kScanSchema = "massact.scan";
inline constexpr int kScanSchemaVersion = 1;

/// `model_hash` is that of `hash_of(model)` (report/model_hash.h).
nlohmann::ordered_json scan_to_json(const ScanResult& result, std::string_view model_hash);

/// The text of scan.json. Tokens whose bytes are no UTF-8 are written with U+FFFD.
std::string scan_json_text(const ScanResult& result, std::string_view model_hash);

}  // namespace massact

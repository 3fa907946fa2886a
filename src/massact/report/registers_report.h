// What `massact registers` says: as text, as registers.json and as registers.csv (docs/vision.md).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "massact/report/result_dir.h"
#include "massact/report/text_style.h"
#include "massact/study/registers.h"

namespace massact {

inline constexpr std::string_view kRegistersSchema = "massact.registers";
inline constexpr int kRegistersSchemaVersion = 1;

/// Norms before every layer, how constant the registers are, and what fixing them changes.
std::string registers_text(const RegistersResult& result, const TextStyle& style);

/// docs/schema/registers.schema.json. `model_hash` is that of `hash_of(model)`.
std::string registers_json_text(const RegistersResult& result, std::string_view model_hash);

/// One line per layer and token (RFC 4180).
std::string registers_csv(const RegistersResult& result);

/// All files but the means themselves. `json` is the text of registers.json.
std::vector<ResultFile> registers_files(const RegistersResult& result, std::string json);

}  // namespace massact

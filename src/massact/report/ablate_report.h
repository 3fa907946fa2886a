// An ablation as a causal table, as ablate.json and as ablate.csv (docs/ablate.md).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "massact/report/result_dir.h"
#include "massact/report/text_style.h"
#include "massact/study/ablate.h"

namespace massact {

inline constexpr std::string_view kAblateSchema = "massact.ablate";
inline constexpr int kAblateSchemaVersion = 1;

/// What was ablated, the causal table, a sentence per finding.
std::string ablate_text(const AblateResult& result, const TextStyle& style);

/// The causal table alone.
std::string variants_table(const AblateResult& result, const TextStyle& style);

/// Parts of ablate.json that other results share: `variants` and `split`.
nlohmann::ordered_json variants_json(const AblateResult& result);
nlohmann::ordered_json split_json(const Split& split);

/// docs/schema/ablate.schema.json. `model_hash` is that of `hash_of(model)`.
nlohmann::ordered_json ablate_to_json(const AblateResult& result, std::string_view model_hash);
std::string ablate_json_text(const AblateResult& result, std::string_view model_hash);

/// One line per variant and measure (RFC 4180).
std::string ablate_csv(const AblateResult& result);

/// All files that an ablation leaves in its directory. `json` is the text of ablate.json.
std::vector<ResultFile> ablate_files(const AblateResult& result, std::string json);

/// "zero", "near_median", … as they stand in the files.
std::string_view name_of(VariantKind kind);

}  // namespace massact

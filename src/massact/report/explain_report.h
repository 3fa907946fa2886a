// What `massact explain` prints and writes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "massact/report/result_dir.h"
#include "massact/report/text_style.h"
#include "massact/study/explain.h"

namespace massact {

inline constexpr std::string_view kExplainSchema = "massact.explain";
inline constexpr int kExplainSchemaVersion = 1;

/// explain.json (docs/schema/explain.schema.json). `with_files`: maps name the files beside it.
nlohmann::ordered_json explain_to_json(const ExplainResult& result, std::string_view model_hash,
                                       bool with_files);
std::string explain_json_text(const ExplainResult& result, std::string_view model_hash,
                              bool with_files);

/// A page for people.
std::string explain_text(const ExplainResult& result, const TextStyle& style);

/// explain-layers.csv, explain-heads.csv, explain-findings.csv, explain-writes.csv and
/// explain-trajectory.csv.
std::vector<ResultFile> explain_csv_files(const ExplainResult& result);

/// An edit plan (docs/edit-plans.md) that zeroes the super weights and the massive weights;
/// "" if there are none.
std::string explain_plan_text(const ExplainResult& result);

/// The maps as arrays and pictures.
std::vector<ResultFile> explain_map_files(const ExplainResult& result);

/// All files that an explanation leaves in its directory. `json` is the text of explain.json.
std::vector<ResultFile> explain_files(const ExplainResult& result, std::string json);

}  // namespace massact

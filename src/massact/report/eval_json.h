// eval.json, and the parts that it shares with ablate.json (docs/measures.md).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "massact/study/eval.h"

namespace massact {

inline constexpr std::string_view kEvalSchema = "massact.eval";
inline constexpr int kEvalSchemaVersion = 1;

/// `model_hash` is that of `hash_of(model)` (report/model_hash.h).
nlohmann::ordered_json eval_to_json(const EvalResult& result, std::string_view model_hash);
/// The text of eval.json.
std::string eval_json_text(const EvalResult& result, std::string_view model_hash);

nlohmann::ordered_json perplexity_json(const eval::Perplexity& p);
/// null if there is none.
nlohmann::ordered_json divergence_json(const std::optional<eval::Divergence>& d);
/// {"value", "error"}; error null where it cannot be given.
nlohmann::ordered_json estimate_json(const eval::Estimate& estimate);
nlohmann::ordered_json run_json(const RunFacts& facts);
/// What is measured, in the order of a Measures object.
nlohmann::ordered_json texts_json(const std::vector<MeasureSet::Text>& texts);
nlohmann::ordered_json tasks_json(const std::vector<MeasureSet::Task>& tasks);
nlohmann::ordered_json measures_json(const Measures& measures);

}  // namespace massact

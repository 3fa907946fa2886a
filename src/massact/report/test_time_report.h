// Test-time registers in what `massact registers` says (docs/vision.md).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "massact/report/result_dir.h"
#include "massact/report/text_style.h"
#include "massact/study/test_time.h"

namespace massact {

/// Outliers by layer, the neurons, and what moving them changed in the patches and in attention.
std::string test_time_text(const TestTimeResult& result, const TextStyle& style);

/// `test_time` of registers.json.
nlohmann::ordered_json test_time_json(const TestTimeResult& result);

/// registers-neurons.csv (RFC 4180) and registers-plan.json, the edit plan that moves them; nothing
/// if there are none.
std::vector<ResultFile> test_time_files(const TestTimeResult& result);

}  // namespace massact

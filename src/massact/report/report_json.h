// What the page of a report is drawn from: src/report/web/src/data.ts names every field.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "massact/report/result_files.h"

namespace massact {

/// The results as they are in the files, less what no chart shows (numbers of single sequences that
/// are also in averages). Findings with very many values keep an even choice of them, and `notes`
/// says so.
nlohmann::ordered_json report_json(const std::vector<ModelResults>& models,
                                   std::vector<std::string> notes);

}  // namespace massact

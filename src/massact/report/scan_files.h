// All files that a scan leaves in its directory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "massact/report/result_dir.h"
#include "massact/study/scan.h"

namespace massact {

/// scan.json last, as ResultDir::write wants it. `json` is the text of scan.json.
std::vector<ResultFile> scan_files(const ScanResult& result, std::string json,
                                   std::string_view model_hash);

}  // namespace massact

#include "massact/report/scan_files.h"

#include <utility>

#include "massact/report/scan_csv.h"
#include "massact/report/scan_window_json.h"

namespace massact {

std::vector<ResultFile> scan_files(const ScanResult& result, std::string json,
                                   std::string_view model_hash) {
  return {{"scan-layers.csv", scan_layers_csv(result)},
          {"scan-findings.csv", scan_findings_csv(result)},
          {"scan-top.csv", scan_top_csv(result)},
          {"scan-window.json", scan_window_json_text(result, model_hash)},
          {"scan.json", std::move(json)}};
}

}  // namespace massact

// scan-window.json: what the pictures of a scan are drawn from (docs/scan-json.md).
#pragma once

#include <string>
#include <string_view>

#include "massact/study/scan.h"

namespace massact {

inline constexpr std::string_view kScanWindowSchema = "massact.scan-window";
inline constexpr int kScanWindowSchemaVersion = 1;

/// docs/schema/scan-window.schema.json. Values are written with the digits that make them the same
/// float32 again, so that 32 layers of 64 tokens and 24 dimensions take about 600 kB.
std::string scan_window_json_text(const ScanResult& result, std::string_view model_hash);

}  // namespace massact

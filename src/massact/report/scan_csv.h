// A scan as tables for spreadsheets and data frames (RFC 4180, UTF-8, one header line).
#pragma once

#include <string>

#include "massact/study/scan.h"

namespace massact {

/// scan-layers.csv: one line per layer.
std::string scan_layers_csv(const ScanResult& result);

/// scan-findings.csv: one line per finding of every rule that was tried, at its peak layer.
std::string scan_findings_csv(const ScanResult& result);

/// scan-top.csv: the largest values of every layer, as measured.
std::string scan_top_csv(const ScanResult& result);

}  // namespace massact

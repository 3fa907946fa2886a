// A scan for a person in front of a terminal.
#pragma once

#include <string>

#include "massact/report/text_style.h"
#include "massact/study/scan.h"

namespace massact {

/// What was run, the layer curve with a bar per layer, the findings with their tokens, and a plain
/// sentence where nothing massive was found. Lines fit the style's width (40 columns or more).
std::string scan_text(const ScanResult& result, const TextStyle& style);

}  // namespace massact

// The layer curve as text.
#pragma once

#include <string>

#include "massact/report/text_style.h"
#include "massact/study/scan.h"

namespace massact {

/// One line per layer: top-1, median, their ratio, and a bar on a log scale that all layers share.
/// The bar's light part ends at the median and its solid part at top-1, so the solid part's length
/// is the ratio. Layers with scalars that meet the strict rule are marked with `*`.
std::string layer_curve_text(const ScanResult& result, const TextStyle& style);

}  // namespace massact

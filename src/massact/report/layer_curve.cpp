#include "massact/report/layer_curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "massact/report/numbers.h"

namespace massact {
namespace {

constexpr int kNumberColumns = 10;
constexpr int kNarrowNumberColumns = 8;
constexpr int kLeastBar = 8;
constexpr int kWidestBar = 60;
constexpr int kNarrow = 60;

// log10 of the magnitudes at the left and right end of every bar.
struct Scale {
  double low = 0;
  double high = 0;

  double fraction(double magnitude) const {
    if (!(magnitude > 0) || high <= low) return 0;
    return std::clamp((std::log10(magnitude) - low) / (high - low), 0.0, 1.0);
  }
};

// From a power of ten below the smallest median to one above the largest value.
Scale scale_of(const ScanResult& result) {
  double least = std::numeric_limits<double>::infinity();
  double most = 0;
  for (const LayerRow& row : result.layers) {
    const double low = row.median > 0 ? row.median : row.top[0];
    if (low > 0) least = std::min(least, low);
    most = std::max(most, row.top[0]);
  }
  if (!(most > 0)) return {};
  Scale scale{std::floor(std::log10(least)), std::ceil(std::log10(most))};
  if (scale.high <= scale.low) scale.high = scale.low + 1;
  return scale;
}

std::string curve_bar(const LayerRow& row, const Scale& scale, int columns,
                      const TextStyle& style) {
  const auto light = static_cast<int>(std::lround(scale.fraction(row.median) * columns));
  const auto end = static_cast<int>(std::lround(scale.fraction(row.top[0]) * columns));
  std::string out;
  for (int i = 0; i < light; ++i) out += style.utf8 ? "░" : ".";
  for (int i = light; i < end; ++i) out += style.utf8 ? "█" : "#";
  return out;
}

}  // namespace

std::string layer_curve_text(const ScanResult& result, const TextStyle& style) {
  const int columns = style.width < kNarrow ? kNarrowNumberColumns : kNumberColumns;
  const int bar_columns = std::min(style.width - 5 - 3 * columns - 4, kWidestBar);
  const bool with_bar = bar_columns >= kLeastBar;
  const Scale scale = scale_of(result);

  std::string out = "layer" + pad_left("top-1", columns) + pad_left("median", columns) +
                    pad_left("ratio", columns);
  if (with_bar) {
    const std::string low = fmt::format("{:g}", std::pow(10, scale.low));
    const std::string high = fmt::format("{:g}", std::pow(10, scale.high));
    out += "    " + low + pad_left(high, bar_columns - static_cast<int>(low.size()));
  }
  out += '\n';
  for (const LayerRow& row : result.layers) {
    std::string line = fmt::format("{:5}", row.layer) + pad_left(number(row.top[0]), columns) +
                       pad_left(number(row.median), columns) +
                       pad_left(number(row.max_over_median), columns);
    const bool massive = row.strict_count > 0;
    if (massive || with_bar) line += massive ? " *" : "  ";
    if (with_bar) line += "  " + curve_bar(row, scale, bar_columns, style);
    if (massive && style.colour) line = "\033[1;31m" + line + "\033[0m";
    out += line + '\n';
  }
  return out;
}

}  // namespace massact

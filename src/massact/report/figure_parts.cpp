#include "massact/report/figure_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "massact/report/gnuplot.h"

namespace massact {

std::string tick(std::string_view text, double at) {
  return fmt::format("{} {}", gnuplot_string(text), at);
}

std::string ticks(const std::vector<std::string>& labels) {
  std::string out = "(";
  for (std::size_t i = 0; i < labels.size(); ++i) {
    out += (i > 0 ? ", " : "") + tick(labels[i], static_cast<double>(i));
  }
  return out + ")";
}

void Range::take(double value) {
  if (value <= 0.0) return;
  low = std::min(low, value);
  high = std::max(high, value);
}

std::string Range::decades() const {
  if (high == 0.0) return "[0.1:1]";
  return fmt::format("[1e{}:1e{}]", std::floor(std::log10(low)), std::ceil(std::log10(high)));
}

}  // namespace massact

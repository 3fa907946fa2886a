#include "massact/report/numbers.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "massact/base/units.h"

namespace massact {

std::string number(double value) {
  const double size = std::abs(value);
  // From 999.95 on four digits leave no decimals: write them out instead of 1.5e+04.
  if (size >= 999.5 && size < 999'999'999.5) {
    return (value < 0 ? "-" : "") + format_count(static_cast<std::uint64_t>(std::llround(size)));
  }
  return fmt::format("{:.4g}", value);
}

std::string signed_number(double value) { return (value >= 0 ? "+" : "") + number(value); }

std::string error_number(double value) {
  const double size = std::abs(value);
  // From 99.5 on two digits would be written 1e+02.
  if (!(size >= 99.5 && size < 999'999'999.5)) return fmt::format("{:.2g}", value);
  return number(std::stod(fmt::format("{:.1e}", value)));
}

std::string percent(double share) {
  const double hundreds = share * 100;
  // 99.96 % is not all of it, and 0.04 % is not nothing.
  if (share >= 1 || share <= 0) return fmt::format("{:.0f} %", hundreds);
  if (hundreds > 99.9) return "> 99.9 %";
  if (hundreds < 0.1) return "< 0.1 %";
  return hundreds < 10 || hundreds > 99 ? fmt::format("{:.1f} %", hundreds)
                                        : fmt::format("{:.0f} %", hundreds);
}

}  // namespace massact

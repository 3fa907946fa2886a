#include "massact/base/units.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <utility>

#include "massact/base/error.h"

namespace massact {

namespace {

constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};

// The number of a unit, and the unit.
std::pair<double, std::size_t> in_units(std::uint64_t bytes) {
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return {value, unit};
}

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  const auto [value, unit] = in_units(bytes);
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.3g} {}", value, kUnits[unit]);
}

std::string format_bytes_up(std::uint64_t bytes) {
  const auto [value, unit] = in_units(bytes);
  if (unit == 0) return format_bytes(bytes);
  // Three significant digits.
  const double scale = value < 10 ? 100 : value < 100 ? 10 : 1;
  return fmt::format("{:g} {}", std::ceil(value * scale) / scale, kUnits[unit]);
}

std::uint64_t parse_bytes(std::string_view text, std::string_view where) {
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  std::string suffix;
  for (char c : unit) suffix += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  static constexpr std::string_view kLetters = "bkmgtp";
  std::size_t power = 0;
  if (!suffix.empty()) {
    power = kLetters.find(suffix[0]);
    const std::string_view rest = std::string_view(suffix).substr(1);
    const bool known = power != std::string_view::npos &&
                       (rest.empty() || (power > 0 && (rest == "b" || rest == "ib")));
    if (!known) power = std::string_view::npos;
  }
  const double bytes = value * std::pow(1024.0, static_cast<double>(power));
  if (status != std::errc() || power == std::string_view::npos || !(value > 0) || bytes >= 1e18) {
    fail_usage(where, "expected a size such as 512M or 3GiB, got '{}'", text);
  }
  return static_cast<std::uint64_t>(bytes);
}

std::string format_seconds(double seconds) {
  if (seconds < 0.995) return fmt::format("{:.2f}s", seconds);
  if (seconds < 59.95) return fmt::format("{:.1f}s", seconds);
  const auto whole = static_cast<std::uint64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole % 3600 / 60);
}

std::string format_count(std::uint64_t count) {
  std::string digits = fmt::format("{}", count);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

std::string counted(std::int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", format_count(static_cast<std::uint64_t>(count)), noun,
                     count == 1 ? "" : "s");
}

}  // namespace massact

#include "massact/cli/validators.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>

#include "massact/base/whole_number.h"

namespace massact {
namespace {

std::optional<double> number(const std::string& text) {
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

CLI::Validator at_least_one(std::int64_t most) {
  const auto check = [most](const std::string& text) -> std::string {
    const auto value = whole_number(text);
    if (!value) return fmt::format("expected a whole number, got '{}'", text);
    if (*value < 1) return fmt::format("expected at least 1, got {}", *value);
    if (most > 0 && *value > most) return fmt::format("expected at most {}, got {}", most, *value);
    return "";
  };
  return {check, most > 0 ? fmt::format("1 to {}", most) : "POSITIVE"};
}

CLI::Validator above_zero() {
  const auto check = [](const std::string& text) -> std::string {
    const auto value = number(text);
    if (!value) return fmt::format("expected a number, got '{}'", text);
    return std::isfinite(*value) && *value > 0 ? ""
                                               : fmt::format("expected more than 0, got {}", text);
  };
  return {check, "POSITIVE"};
}

CLI::Validator zero_or_more() {
  const auto check = [](const std::string& text) -> std::string {
    const auto value = number(text);
    if (!value) return fmt::format("expected a number, got '{}'", text);
    return std::isfinite(*value) && *value >= 0 ? ""
                                                : fmt::format("expected 0 or more, got {}", text);
  };
  return {check, "NONNEGATIVE"};
}

void refuse_empty_values(CLI::App& command) {
  const auto check = [](const std::string& text) -> std::string {
    return text.empty() ? "expected a value, got an empty one" : "";
  };
  for (CLI::Option* option : command.get_options()) {
    if (option->get_items_expected_max() > 0) option->check(check);
  }
}

}  // namespace massact

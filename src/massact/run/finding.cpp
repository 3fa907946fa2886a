#include "massact/run/finding.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "massact/base/error.h"

namespace massact {
namespace {

// A whole, finite, non-negative number.
bool read_number(std::string_view text, double& out) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, out);
  return result.ec == std::errc{} && result.ptr == end && std::isfinite(out) && out >= 0.0;
}

}  // namespace

Rule Rule::parse(std::string_view text) {
  if (text == "strict") return strict();
  if (text == "auto") return automatic();
  const std::size_t comma = text.find(',');
  double min_abs = 0.0, min_ratio = 0.0;
  if (comma == std::string_view::npos || !read_number(text.substr(0, comma), min_abs) ||
      !read_number(text.substr(comma + 1), min_ratio)) {
    fail_usage("--rule", "expected strict, auto or ABS,RATIO, got \"{}\" (for example 100,1000)",
               text);
  }
  return thresholds(min_abs, min_ratio);
}

std::string Rule::to_string() const {
  switch (kind) {
    case RuleKind::strict:
      return "strict";
    case RuleKind::automatic:
      return "auto";
    case RuleKind::thresholds:
      break;
  }
  return fmt::format("{},{}", min_abs, min_ratio);
}

std::string_view name_of(Label label) {
  switch (label) {
    case Label::massive:
      return "massive";
    case Label::large:
      return "large";
    case Label::not_massive:
      break;
  }
  return "not massive";
}

bool FindingSet::has_massive() const {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& f) { return f.label == Label::massive; });
}

}  // namespace massact

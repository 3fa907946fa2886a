#include "massact/cli/help_formatter.h"

#include <algorithm>
#include <sstream>

namespace massact {
namespace {

constexpr int kNameIndent = 2;
constexpr int kColumn = 30;       // of the descriptions
constexpr int kLeastBeside = 42;  // columns that a description needs to stand beside its flag
constexpr int kBelowIndent = 6;   // of a description below its flag
constexpr int kUsageIndent = 4;   // of a usage line that goes on

std::string spaces(int count) { return std::string(static_cast<std::size_t>(count), ' '); }

}  // namespace

// Lines of at most the style's width, all but the first indented; the first one begins behind
// `first_column` columns that are there already.
std::string HelpFormatter::wrapped(const std::string& text, int indent, int first_column) const {
  TextStyle inner = style_;
  inner.width = style_.width - std::max(indent, first_column);
  std::string out;
  for (const char c : wrap(text, inner)) {
    out += c;
    if (c == '\n') out += spaces(indent);
  }
  return out;
}

std::string HelpFormatter::entry(const std::string& name, const std::string& description) const {
  const std::string head = spaces(kNameIndent) + wrapped(name, kBelowIndent, kNameIndent);
  if (description.empty()) return head + "\n";
  const bool has_columns = style_.width >= kColumn + kLeastBeside;
  const int indent = has_columns ? kColumn : kBelowIndent;
  const bool beside = has_columns && display_width(head) < kColumn;
  return (beside ? pad_right(head, kColumn) : head + "\n" + spaces(indent)) +
         wrapped(description, indent, indent) + "\n";
}

std::string HelpFormatter::make_group(std::string group, bool is_positional,
                                      std::vector<const CLI::Option*> options) const {
  std::string out = "\n" + wrapped(group + ":", 0, 0) + "\n";
  for (const CLI::Option* option : options) out += make_option(option, is_positional);
  return out;
}

std::string HelpFormatter::make_description(const CLI::App* app) const {
  return wrapped(app->get_description(), 0, 0) + "\n";
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  std::string usage = CLI::Formatter::make_usage(app, std::move(name));
  while (usage.ends_with('\n')) usage.pop_back();
  return wrapped(usage, kUsageIndent, 0) + "\n";
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  return entry(command->get_name(), command->get_description());
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  return entry(make_option_name(option, is_positional) + make_option_opts(option),
               make_option_desc(option));
}

std::string HelpFormatter::make_footer(const CLI::App* app) const {
  std::istringstream lines(app->get_footer());
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() && out.empty()) continue;  // make_help sets it apart already
    out += (line.starts_with("  ") ? line : wrapped(line, 0, 0)) + "\n";
  }
  return out;
}

}  // namespace massact

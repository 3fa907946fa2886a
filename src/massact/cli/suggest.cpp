#include "massact/cli/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "massact/base/error.h"
#include "massact/base/suggest.h"

namespace massact {

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> flag_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

void require_known_command(const CLI::App& app, std::string_view word) {
  const std::vector<std::string> names = command_names(app);
  if (word.starts_with('-') || std::count(names.begin(), names.end(), word) > 0) return;
  fail_usage("command line", "expected a command ({}), got '{}' (nearest: {})", join(names), word,
             join(nearest(word, names, 1)));
}

namespace {

constexpr std::size_t kSuggested = 2;

// First what only needs its rest typed (--seq: --seq-len, --sequences), then what looks alike.
std::vector<std::string> near_flags(std::string_view flag, const std::vector<std::string>& names) {
  std::vector<std::string> near;
  std::copy_if(names.begin(), names.end(), std::back_inserter(near),
               [&](const std::string& name) { return name.starts_with(flag); });
  return near.empty() ? nearest(flag, names, kSuggested) : near;
}

}  // namespace

std::string unknown_flag_message(const CLI::App& command) {
  for (const std::string& word : command.remaining()) {
    if (!word.starts_with("--") || word == "--") continue;
    const std::string flag = word.substr(0, word.find('='));
    return fmt::format("there is no flag {} (nearest: {})", flag,
                       join(near_flags(flag, flag_names(command))));
  }
  return "";
}

}  // namespace massact

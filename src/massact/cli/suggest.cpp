#include "massact/cli/suggest.h"

#include <fmt/format.h>

#include <algorithm>

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

std::string unknown_flag_message(const CLI::App& command) {
  for (const std::string& word : command.remaining()) {
    if (!word.starts_with("--")) continue;
    const std::string flag = word.substr(0, word.find('='));
    return fmt::format("there is no flag {} (nearest: {})", flag,
                       join(nearest(flag, flag_names(command), 2)));
  }
  return "";
}

}  // namespace massact

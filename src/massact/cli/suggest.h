// "Did you mean": near misses of commands and flags.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// The names of all commands, in the order of the help.
std::vector<std::string> command_names(const CLI::App& app);

/// Every "--flag" of a command.
std::vector<std::string> flag_names(const CLI::App& command);

/// Throws UsageError with the nearest commands if `word` is neither a command nor a flag.
void require_known_command(const CLI::App& app, std::string_view word);

/// After a failed parse: which flag is unknown and what is near it; "" if that is not the trouble.
std::string unknown_flag_message(const CLI::App& command);

}  // namespace massact

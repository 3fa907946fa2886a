// What massact-train and massact-train-prepare have in common: from a command line to an exit
// status.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace massact::train {

/// Prints a line for a person, on stderr.
void say(const std::string& line);

/// Parses the command line, which runs the callbacks of `app`. Returns 0, or 2 after saying what
/// is wrong with the command line; other errors leave as exceptions.
int parse_and_run(CLI::App& app, int argc, const char* const* argv);

/// Runs `work`, which Ctrl-C (SIGTERM) asks to stop. Returns its exit status, or says what it threw
/// and returns 1 (failed), 2 (usage) or 130 (stopped, with `when_stopped` as the message).
int run_program(const std::string& name, const std::string& when_stopped,
                const std::function<int()>& work);

}  // namespace massact::train

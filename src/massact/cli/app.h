// From the command line to an exit status.
#pragma once

#include <CLI/App.hpp>
#include <memory>

#include "massact/cli/commands.h"
#include "massact/report/text_style.h"

namespace massact {

enum class ExitStatus : int { ok = 0, failed = 1, usage = 2, interrupted = 130 };

/// The program's command line with all its commands; `style` is that of their help.
std::unique_ptr<CLI::App> make_app(Action& action, const TextStyle& style);

/// Reads the arguments (without the program's name), runs the command, prints what goes wrong to
/// stderr as `massact: [where] …`. Throws nothing.
ExitStatus run_program(int argc, const char* const* argv);

}  // namespace massact

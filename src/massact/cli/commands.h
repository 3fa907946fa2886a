// The commands of the program, one file each. A command declares its flags on `app`; if it is the
// one that was typed, it sets `action`, which runs after the whole line has been read.
#pragma once

#include <CLI/App.hpp>
#include <functional>

namespace massact {

using Action = std::function<void()>;

void add_scan(CLI::App& app, Action& action);
void add_explain(CLI::App& app, Action& action);
void add_ablate(CLI::App& app, Action& action);
void add_registers(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_trace(CLI::App& app, Action& action);
void add_report(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_families(CLI::App& app, Action& action);
void add_completion(CLI::App& app, Action& action);
void add_man(CLI::App& app, Action& action);

}  // namespace massact

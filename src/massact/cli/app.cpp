#include "massact/cli/app.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <sstream>
#include <string>
#include <string_view>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/cli/help_formatter.h"
#include "massact/cli/suggest.h"
#include "massact/cli/terminal.h"
#include "massact/cli/validators.h"
#include "massact/report/version.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFooter = R"(
Examples:
  massact inspect models/mini-llama
  massact scan models/mini-llama --text book.txt --out results
  massact report models/mini-llama
  massact COMMAND --help

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.)";

void add_version_flags(CLI::App& app) {
  const std::string text = fmt::format("massact {}", version());
  app.set_version_flag("--version", text, "Print the version and exit");
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    command->set_version_flag("--version", text, "Print the version and exit");
  }
}

// The first Ctrl-C asks the work to stop at its next check; a second one does not wait for that.
void on_signal(int signal) {
  request_interrupt();
  std::signal(signal, SIG_DFL);
}

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

ExitStatus report_error(std::string_view text, ExitStatus status) {
  fmt::print(stderr, "massact: {}\n", text);
  return status;
}

// What CLI11 has to say about a line that it cannot read, or help and version as asked for.
ExitStatus finish_parse(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) {
    std::ostringstream said;
    app.exit(error, said, said);
    print(said.str());
    return ExitStatus::ok;
  }
  const CLI::App* command = &app;
  if (!app.get_subcommands().empty()) command = app.get_subcommands().front();
  const std::string name = command == &app ? "" : command->get_name();
  std::string message = unknown_flag_message(*command);
  if (message.empty()) message = error.what();
  return report_error(
      fmt::format("[{}] {} (massact {}{}--help says what there is)",
                  name.empty() ? "command line" : name, message, name, name.empty() ? "" : " "),
      ExitStatus::usage);
}

// What the library did not foresee about a path.
std::string file_error_text(const fs::filesystem_error& error) {
  std::error_code gone;
  const fs::path here = fs::current_path(gone);
  if (gone || here.empty())
    return "[.] expected a current directory, got one that is gone (change to another)";
  return fmt::format("[{}] expected to read or write this path, got: {}", error.path1().string(),
                     error.code().message());
}

ExitStatus parse_and_run(int argc, const char* const* argv) {
  Action action;
  const TextStyle style = text_style_of(argc < 2 ? STDERR_FILENO : STDOUT_FILENO);
  const std::unique_ptr<CLI::App> app = make_app(action, style);
  if (argc < 2) {
    fmt::print(stderr, "{}", app->help());
    return ExitStatus::usage;
  }
  require_known_command(*app, argv[1]);
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return finish_parse(*app, error);
  }
  install_signal_handlers();
  action();
  return ExitStatus::ok;
}

}  // namespace

std::unique_ptr<CLI::App> make_app(Action& action, const TextStyle& style) {
  auto app = std::make_unique<CLI::App>(
      "Finds, explains, edits and replaces massive activations in transformers.", "massact");
  app->require_subcommand(1);
  app->set_help_flag("--help,-h", "Print this help and exit");
  app->formatter(std::make_shared<HelpFormatter>(style));  // commands take it over from here
  app->footer(kFooter);
  add_scan(*app, action);
  add_explain(*app, action);
  add_ablate(*app, action);
  add_registers(*app, action);
  add_eval(*app, action);
  add_inspect(*app, action);
  add_trace(*app, action);
  add_report(*app, action);
  add_bench(*app, action);
  add_families(*app, action);
  add_completion(*app, action);
  add_man(*app, action);
  add_version_flags(*app);
  for (CLI::App* command : app->get_subcommands([](CLI::App*) { return true; })) {
    refuse_empty_values(*command);
  }
  return app;
}

ExitStatus run_program(int argc, const char* const* argv) {
  try {
    return parse_and_run(argc, argv);
  } catch (const Interrupted& stop) {
    return report_error(stop.what(), ExitStatus::interrupted);
  } catch (const UsageError& error) {
    return report_error(error.what(), ExitStatus::usage);
  } catch (const Error& error) {
    return report_error(error.what(), ExitStatus::failed);
  } catch (const std::bad_alloc&) {
    return report_error("[memory] the system has no more (try a smaller --memory or --seq-len)",
                        ExitStatus::failed);
  } catch (const fs::filesystem_error& error) {
    return report_error(file_error_text(error), ExitStatus::failed);
  } catch (const std::exception& error) {
    return report_error(fmt::format("[internal] {}", error.what()), ExitStatus::failed);
  }
}

}  // namespace massact

// `massact man`: the manual page, made from the very table that parses the command line.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <sstream>
#include <string>

#include "massact/cli/commands.h"
#include "massact/cli/terminal.h"
#include "massact/report/version.h"

namespace massact {
namespace {

// Text in which nothing is a command of roff's.
std::string roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == ',') {
      out += ",\\:";  // a line may end here, also within a list of choices
    } else {
      out += c;
    }
  }
  return out;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

// One flag or argument: its name as in the help, then what it does.
std::string entry(const CLI::App& app, const CLI::Option& option) {
  const auto formatter = std::dynamic_pointer_cast<CLI::Formatter>(app.get_formatter());
  const std::string name =
      formatter->make_option_name(&option, option.get_positional() && option.get_lnames().empty());
  return fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", roff(name),
                     roff(formatter->make_option_opts(&option)), roff(option.get_description()));
}

// Examples line by line, what else a footer says as text.
std::string footer_of(const CLI::App& app) {
  std::istringstream lines(app.get_footer());
  std::string out;
  bool examples = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    const bool example = line.starts_with("  ");
    if (example != examples) out += example ? ".nf\n" : ".fi\n";
    examples = example;
    out += (example ? "" : ".PP\n") + roff(line) + "\n";
  }
  return out + (examples ? ".fi\n" : "");
}

std::string section_of(const CLI::App& command) {
  std::string usage = "massact " + command.get_name() + " [flags]";
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) usage += " " + option->get_name(true, false);
  }
  std::string out = fmt::format(".SH \"{}\"\n{}.\n.PP\n\\fB{}\\fR\n",
                                roff(upper("massact " + command.get_name())),
                                roff(command.get_description()), roff(usage));
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_name() != "--help" && option->get_name() != "--version") {
      out += entry(command, *option);
    }
  }
  return out + footer_of(command);
}

std::string man_page(const CLI::App& app) {
  std::string out = fmt::format(
      ".TH MASSACT 1 \"\" \"massact {}\" \"User Commands\"\n"
      ".SH NAME\nmassact \\- find, explain, edit and replace massive activations in transformers\n"
      ".SH SYNOPSIS\n\\fBmassact\\fR COMMAND [flags] MODEL...\n.SH DESCRIPTION\n{}\n"
      "Every command takes \\fB\\-\\-help\\fR and \\fB\\-\\-version\\fR.\n",
      roff(version()), roff(app.get_description()));
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* command : commands) {
    out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(command->get_name()),
                       roff(command->get_description()));
  }
  out += footer_of(app);
  for (const CLI::App* command : commands) out += section_of(*command);
  return out;
}

}  // namespace

void add_man(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("man", "Print the manual page");
  command->footer(
      "\nExamples:\n  massact man | man -l -\n"
      "  massact man > ~/.local/share/man/man1/massact.1");
  command->callback([&app, &action] { action = [&app] { print(man_page(app)); }; });
}

}  // namespace massact

// `massact completion bash|zsh|fish`: a script made from the very table that parses the command
// line, so it cannot fall behind it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <string>

#include "massact/cli/commands.h"
#include "massact/cli/suggest.h"
#include "massact/cli/terminal.h"

namespace massact {
namespace {

// Flags after "--", commands as the first word, files anywhere else.
std::string bash_script(const CLI::App& app) {
  std::string cases;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(),
                         fmt::join(flag_names(*command), " "));
  }
  return fmt::format(
      R"(# massact completion for bash: source <(massact completion bash)
_massact() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
  case "${{COMP_WORDS[1]}}" in
{}    *) words="{}" ;;
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="{} {}"
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ] || [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  fi
}}
complete -o default -F _massact massact
)",
      cases, fmt::join(flag_names(app), " "), fmt::join(command_names(app), " "),
      fmt::join(flag_names(app), " "));
}

std::string quoted_for_zsh(std::string text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else if (c == '[' || c == ']' || c == ':') {
      out += std::string("\\") + c;
    } else {
      out += c == '\n' ? ' ' : c;
    }
  }
  return out;
}

std::string zsh_script(const CLI::App& app) {
  std::string commands;
  std::string cases;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands += fmt::format("    '{}:{}'\n", command->get_name(),
                            quoted_for_zsh(command->get_description()));
    cases += fmt::format("    {}) _arguments '*:file:_files'", command->get_name());
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        const bool takes_value = option->get_items_expected_max() > 0;
        cases +=
            fmt::format(" \\\n      '--{}[{}]{}'", name, quoted_for_zsh(option->get_description()),
                        takes_value ? ":value:_files" : "");
      }
    }
    cases += " ;;\n";
  }
  return fmt::format(
      R"(#compdef massact
# massact completion for zsh: massact completion zsh > a folder of $fpath/_massact
_massact() {{
  local -a commands=(
{}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{}  esac
}}
# From a folder of $fpath this whole file is the function; else it only defines it.
if [ "${{funcstack[1]}}" = _massact ]; then _massact "$@"; else compdef _massact massact; fi
)",
      commands, cases);
}

std::string quoted_for_fish(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "'";
}

std::string fish_script(const CLI::App& app) {
  std::string out =
      "# massact completion for fish: massact completion fish > "
      "~/.config/fish/completions/massact.fish\n";
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    out += fmt::format("complete -c massact -n __fish_use_subcommand -f -a {} -d {}\n",
                       command->get_name(), quoted_for_fish(command->get_description()));
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        out += fmt::format(
            "complete -c massact -n '__fish_seen_subcommand_from {}' -l {}{} -d {}\n",
            command->get_name(), name, option->get_items_expected_max() > 0 ? " -r" : "",
            quoted_for_fish(option->get_description()));
      }
    }
  }
  return out;
}

std::string script_of(const std::string& shell, const CLI::App& app) {
  if (shell == "bash") return bash_script(app);
  return shell == "zsh" ? zsh_script(app) : fish_script(app);
}

}  // namespace

void add_completion(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("completion", "Print a shell's completion script");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer(
      "\nExamples:\n  source <(massact completion bash)\n"
      "  massact completion zsh > ~/.zfunc/_massact\n"
      "  massact completion fish > ~/.config/fish/completions/massact.fish");
  command->callback(
      [&app, &action, shell] { action = [&app, shell] { print(script_of(*shell, app)); }; });
}

}  // namespace massact

// `massact families`: which architectures are read, and which options of the block each uses.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "massact/cli/commands.h"
#include "massact/cli/terminal.h"
#include "massact/io/json_text.h"
#include "massact/report/families_table.h"

namespace massact {
namespace {

constexpr const char* kExamples = R"(
Examples:
  massact families
  massact families --json
  massact families --markdown   # the table of docs/families.md)";

struct FamiliesFlags {
  bool json = false;
  bool markdown = false;
};

void print_families(const FamiliesFlags& flags) {
  if (flags.json) return print(json_file_text(families_to_json()));
  print(flags.markdown ? families_markdown() : families_text(text_style_of(STDOUT_FILENO)));
}

}  // namespace

void add_families(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "families", "List the architectures that can be read and what is special in each");
  auto flags = std::make_shared<FamiliesFlags>();
  auto* json = command->add_flag("--json", flags->json, "Print JSON");
  command->add_flag("--markdown", flags->markdown, "Print a Markdown table")->excludes(json);
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { print_families(*flags); }; });
}

}  // namespace massact

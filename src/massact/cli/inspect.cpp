// `massact inspect`: what a model is and what a scan of it would cost.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "massact/cli/commands.h"
#include "massact/cli/flags.h"
#include "massact/cli/terminal.h"
#include "massact/io/json_text.h"
#include "massact/report/inspection.h"

namespace massact {
namespace {

constexpr const char* kExamples = R"(
Examples:
  massact inspect models/mini-llama
  massact inspect Llama-2-70b --sequences 8 --memory 6GiB
  massact inspect gpt2 --tensors --json)";

struct InspectFlags {
  ModelFlags model;
  TextFlags text;
  RunFlags run;
  bool tensors = false;
  bool json = false;
};

void inspect_model(const InspectFlags& flags) {
  const Model model = flags.model.open();
  const Inspection inspection =
      inspect(model, {.sequences = flags.text.sequences,
                      .seq_len = flags.text.effective_seq_len(model.config()),
                      .run = flags.run.options()});
  print(flags.json ? json_file_text(inspection_to_json(inspection))
                   : inspection_text(inspection, flags.tensors, text_style_of(STDOUT_FILENO)));
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "inspect", "Show a model's configuration and what a scan would cost, without running it");
  auto flags = std::make_shared<InspectFlags>();
  flags->model.declare(*command);
  flags->text.declare_size(*command);
  flags->run.declare(*command);
  command->add_flag("--tensors", flags->tensors,
                    "List every tensor, and the weights that it is in edit plans");
  command->add_flag("--json", flags->json, "Print JSON");
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { inspect_model(*flags); }; });
}

}  // namespace massact

// `massact scan`: where a model's massive activations are.
#include "massact/cli/scan.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "massact/cli/commands.h"
#include "massact/cli/flags.h"
#include "massact/cli/output.h"
#include "massact/cli/parse.h"
#include "massact/report/model_hash.h"
#include "massact/report/scan_files.h"
#include "massact/report/scan_json.h"
#include "massact/report/scan_text.h"

namespace massact {
namespace {

constexpr const char* kExamples = R"(
Examples:
  massact scan models/mini-llama
  massact scan Llama-2-7b --text book.txt --sequences 100 --seq-len 4096 --memory 3GiB
  massact scan dinov2-base --images photos/ --skip-bad --out results
  massact scan gpt2 --layers 0-4 --rule 50,500 --out results --json > scan.json)";

void run_command(const ScanFlags& flags) {
  Rule::parse(flags.rule);  // a wrong one shows before anything is read
  const Model model = flags.model.open();
  const std::string hash = hash_of(model);
  const Output output(flags.output, hash);

  const std::unique_ptr<Progress> progress = flags.output.progress();
  const ScanResult result = scan(model, flags, *progress);

  output.deliver(
      scan_json_text(result, hash),
      [&](const std::string& json) { return scan_files(result, json, hash); },
      [&](const TextStyle& style) { return scan_text(result, style); });
}

}  // namespace

ScanResult scan(const Model& model, const ScanFlags& flags, Progress& progress) {
  ScanOptions options;
  options.rule = Rule::parse(flags.rule);
  options.run = flags.run.options();
  if (!flags.classes.empty()) options.classes = PositionLists::from_file(flags.classes);
  options.layers = parse_layers(flags.layers, static_cast<int>(model.config().layers), "--layers");
  if (reads_images(model, flags.text, flags.images)) {
    return run_scan(model, flags.images.read(model, flags.run.threads), options, progress);
  }
  return run_scan(model, flags.text.read(model), options, progress);
}

void add_scan(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("scan", "Find a model's massive activations");
  auto flags = std::make_shared<ScanFlags>();
  flags->model.declare(*command);
  flags->text.declare(*command);
  flags->images.declare(*command);
  command
      ->add_option("--layers", flags->layers,
                   "Layers such as 1,4-6, counted from 1; 0 is the embedding")
      ->capture_default_str();
  declare_rule(*command, flags->rule);
  flags->text.declare_classes(*command, flags->classes);
  flags->run.declare(*command);
  flags->output.declare(*command);
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { run_command(*flags); }; });
}

}  // namespace massact

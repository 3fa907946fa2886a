// `massact registers`: what a vision model's registers hold, and whether their mean is all of it.
#include <CLI/CLI.hpp>
#include <memory>

#include "massact/base/error.h"
#include "massact/cli/commands.h"
#include "massact/cli/flags.h"
#include "massact/cli/image_split.h"
#include "massact/cli/output.h"
#include "massact/report/model_hash.h"
#include "massact/report/registers_report.h"
#include "massact/study/registers.h"

namespace massact {
namespace {

constexpr const char* kExamples = R"(
Examples:
  massact registers dinov2-with-registers-base --images photos/ --out results
  massact registers dinov2-reg-l --images imagenet/val/ --calibration imagenet/train-10k/
  massact registers dinov2-reg-l --images imagenet/val/ --means dinov2_reg_vitl.pth
  massact registers dinov2-reg-l --images imagenet/val/ --head dinov2_vitl14_reg4_linear_head.pth

The means are written to DIR/registers.safetensors: `registers` and `cls`, [blocks, tokens, width].)";

struct RegistersFlags {
  ModelFlags model;
  ImageFlags images;
  RunFlags run;
  OutputFlags output;
  std::string calibration;
  std::string means;
  bool each_layer = false;
};

void run_command(const RegistersFlags& flags) {
  const Model model = flags.model.open();
  if (!model.config().is_vision()) {
    fail_usage(model.name(), "expected a vision model, got one that reads text ({})",
               model.config().family);
  }
  reads_images(model, {}, flags.images);  // or it says what is missing
  const std::string hash = hash_of(model);
  const Output output(flags.output, hash);

  const std::unique_ptr<Progress> progress = flags.output.progress();
  const RegistersResult result = run_registers(
      model,
      read_image_split(
          model, {flags.images, flags.calibration, flags.model.tokenizer, flags.run.options()},
          *progress),
      {.run = flags.run.options(), .means = flags.means, .each_layer = flags.each_layer},
      *progress);

  if (const ResultDir* directory = output.directory()) {
    directory->write({});  // creates it
    write_register_means(directory->path() / "registers.safetensors", result);
  }
  output.deliver(
      registers_json_text(result, hash),
      [&](const std::string& json) { return registers_files(result, json); },
      [&](const TextStyle& style) { return registers_text(result, style); });
}

}  // namespace

void add_registers(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "registers",
      "Mean of a vision model's registers before every layer, and what fixing them does");
  auto flags = std::make_shared<RegistersFlags>();
  flags->model.declare(*command);
  flags->images.declare(*command);
  flags->images.declare_classifier(*command);
  command->add_option("--calibration", flags->calibration,
                      "Images for the means (default: every fifth of --images)");
  command->add_option("--means", flags->means,
                      "Means to compare with and to evaluate: .safetensors of this command, or a "
                      "PyTorch dict from block to [registers, width]");
  command->add_flag("--each-layer", flags->each_layer, "Also fix before each layer alone");
  flags->run.declare(*command);
  flags->output.declare(*command);
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { run_command(*flags); }; });
}

}  // namespace massact

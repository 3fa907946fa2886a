// `massact registers`: what a vision model's registers hold, and whether their mean is all of it.
#include <CLI/CLI.hpp>
#include <memory>

#include "massact/base/error.h"
#include "massact/cli/commands.h"
#include "massact/cli/flags.h"
#include "massact/cli/image_split.h"
#include "massact/cli/output.h"
#include "massact/cli/validators.h"
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
  massact registers clip-vit-large-patch14 --images photos/ --out results
  massact registers dinov2-large --images photos/ --outlier-norm 150 --outlier-layer 23 --neurons 50

The means are written to DIR/registers.safetensors: `registers` and `cls`, [blocks, tokens, width].)";

struct RegistersFlags {
  ModelFlags model;
  ImageFlags images;
  RunFlags run;
  OutputFlags output;
  std::string calibration;
  std::string means;
  bool each_layer = false;
  TestTimeOptions test_time;
  std::string rank = "contribution";
  bool asked_test_time = false;  ///< one of their flags was given
};

// Of models without registers.
void declare_test_time(CLI::App& command, RegistersFlags& flags) {
  TestTimeOptions& options = flags.test_time;
  const std::string group = "Test-time registers (models without registers)";
  const auto add = [&](const char* name, auto& value, const char* text) {
    return command.add_option(name, value, text)->group(group)->each([&flags](const std::string&) {
      flags.asked_test_time = true;
    });
  };
  add("--neurons", options.neurons,
      "Neurons whose activations move to the added token (default: as few as take nine of ten "
      "outliers away)")
      ->check(at_least_one());
  add("--added-tokens", options.tokens, "Tokens to add (default: 1)")->check(CLI::Range(1, 64));
  add("--outlier-ratio", options.rule.ratio,
      "Outliers are patches of at least so many times the median length (default: 3)")
      ->check(above_zero());
  add("--outlier-norm", options.rule.norm, "Outliers are patches of at least this length instead")
      ->check(above_zero())
      ->excludes("--outlier-ratio");
  add("--outlier-layer", options.outlier_layer,
      "Layer behind which they are looked for (default: where they stand out most)")
      ->check(at_least_one());
  add("--last-layer", options.last_layer,
      "Last layer of the neurons (default: where half of the outliers are there)")
      ->check(at_least_one());
  add("--seed", options.seed, "Seed of the control's random neurons (default: 0)");
  add("--rank", flags.rank,
      "Neurons by contribution (default) or, as published, by activation at outliers")
      ->check(CLI::IsMember({"contribution", "activation"}));
}

TestTimeOptions test_time_options(const RegistersFlags& flags) {
  TestTimeOptions options = flags.test_time;
  if (flags.rank == "activation") options.rank = NeuronRank::activation;
  return options;
}

// An earlier run's neurons must not pass for those of a run that found none.
void remove_old_neurons(const Output& output, const RegistersResult& result) {
  const bool moved = result.test_time && !result.test_time->neurons.empty();
  if (output.directory() == nullptr || moved) return;
  for (const char* name : {"registers-neurons.csv", "registers-plan.json"}) {
    std::filesystem::remove(output.directory()->path() / name);
  }
}

void run_command(const RegistersFlags& flags) {
  const Model model = flags.model.open();
  if (!model.config().is_vision()) {
    fail_usage(model.name(), "expected a vision model, got one that reads text ({})",
               model.config().family);
  }
  if (flags.asked_test_time && model.config().vision.registers > 0) {
    fail_usage(model.name(), "expected a model without registers for test-time registers, got {}",
               model.config().vision.registers);
  }
  if (flags.each_layer && model.config().vision.registers == 0) {
    fail_usage("--each-layer", "expected a model with registers to fix, got {}", model.name());
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
      {.run = flags.run.options(),
       .means = flags.means,
       .each_layer = flags.each_layer,
       .test_time = test_time_options(flags)},
      *progress);

  if (const ResultDir* directory = output.directory()) {
    directory->write({});  // creates it
    write_register_means(directory->path() / "registers.safetensors", result);
  }
  output.deliver(
      registers_json_text(result, hash),
      [&](const std::string& json) { return registers_files(result, json); },
      [&](const TextStyle& style) { return registers_text(result, style); });
  remove_old_neurons(output, result);
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
  declare_test_time(*command, *flags);
  flags->run.declare(*command);
  flags->output.declare(*command);
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { run_command(*flags); }; });
}

}  // namespace massact

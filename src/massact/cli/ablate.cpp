// `massact ablate`: edit the massive activations and measure what breaks.
#include "massact/cli/ablate.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "massact/cli/commands.h"
#include "massact/cli/image_split.h"
#include "massact/cli/output.h"
#include "massact/report/ablate_report.h"
#include "massact/report/model_hash.h"

namespace massact {
namespace {

constexpr const char* kExamples = R"(
Examples:
  massact ablate models/mini-llama
  massact ablate Llama-2-7b --text wiki.test.raw --seq-len 4096 --task piqa=valid.jsonl
  massact ablate gpt2 --text book.txt --sweep 0,.2,.5,.8,1,1.5,2,3 --out results
  massact ablate dinov2-base --images imagenet/val/ --max-images 1000
  massact ablate clip-vit-large-patch14 --images imagenet/val/ --class-names LOC_synset_mapping.txt
  massact ablate dinov2_vitb14_pretrain.pth --images imagenet/val/ --head dinov2_vitb14_linear_head.pth
  massact ablate gpt2 --plan plan.json          # own edits: docs/edit-plans.md
  massact ablate gpt2 --each-layer --selector class --rule auto)";

AblateOptions options_of(const AblateFlags& flags) {
  AblateOptions options;
  options.rule = Rule::parse(flags.rule);
  options.selector = flags.selector == "class" ? SelectorKind::position_class : SelectorKind::found;
  options.sweep = flags.sweep;
  options.each_layer = flags.each_layer;
  options.seed = flags.seed;
  if (!flags.classes.empty()) options.classes = PositionLists::from_file(flags.classes);
  options.run = flags.run.options();
  return options;
}

CalibrationSplit split_of(const AblateFlags& flags, const Model& model,
                          PerplexityRequest& request) {
  TokenStreams streams = flags.measures.read(model, request);
  if (flags.calibration.empty()) return split_text(model, std::move(streams), request);
  return split_text(model, std::move(streams),
                    flags.measures.read_file(model, flags.calibration, request), request);
}

void run_command(const AblateFlags& flags) {
  options_of(flags);  // wrong flags show before anything is read
  const Model model = flags.model.open();
  const std::string hash = hash_of(model);
  const Output output(flags.output, hash);

  const std::unique_ptr<Progress> progress = flags.output.progress();
  const AblateResult result = ablate(model, flags, *progress);

  output.deliver(
      ablate_json_text(result, hash),
      [&](const std::string& json) { return ablate_files(result, json); },
      [&](const TextStyle& style) { return ablate_text(result, style); });
}

void declare_edits(CLI::App& command, AblateFlags& flags) {
  command.add_option("--plan", flags.plan, "auto, or a JSON edit plan (docs/edit-plans.md)")
      ->capture_default_str();
  declare_rule(command, flags.rule);
  command
      .add_option("--selector", flags.selector,
                  "found: what meets the rule in each sequence; class: the findings' position "
                  "classes and dimensions in every sequence")
      ->check(CLI::IsMember({"found", "class"}))
      ->capture_default_str();
  command.add_option("--sweep", flags.sweep, "Also scale the targets by each of these factors")
      ->delimiter(',');
  command.add_flag("--each-layer", flags.each_layer, "Also zero at each layer separately");
  command.add_option("--calibration", flags.calibration,
                     "Text or images for the means (default: a fifth of what is given)");
  flags.measures.text.declare_classes(command, flags.classes);
  command.add_option("--seed", flags.seed, "Of the random control and of noise")
      ->capture_default_str();
}

}  // namespace

AblateResult ablate(const Model& model, const AblateFlags& flags, Progress& progress) {
  AblateOptions options = options_of(flags);
  if (flags.plan != "auto") options.plan = edit::EditPlan::from_file(flags.plan, model);
  if (reads_images(model, flags.measures.text, flags.images)) {
    const ImageSplit split = read_image_split(
        model, {flags.images, flags.calibration, flags.model.tokenizer, options.run}, progress);
    return run_ablate(model, split, options, progress);
  }
  PerplexityRequest request = flags.measures.request(eval::parse_convention(flags.ppl, "--ppl"));
  const CalibrationSplit split = split_of(flags, model, request);
  if (flags.calibration.empty()) request.max_windows -= split.split.calibration_windows;
  MeasureSet set;
  set.add(model, split.evaluation, request);
  for (TaskRequest& task : flags.measures.read_tasks()) {
    set.add(model, std::move(task), flags.measures.text.bos_policy());
  }
  return run_ablate(model, set, split, options, progress);
}

void add_ablate(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("ablate", "Edit the massive activations and measure what breaks");
  auto flags = std::make_shared<AblateFlags>();
  flags->model.declare(*command);
  flags->measures.declare(*command);
  flags->images.declare(*command);
  flags->images.declare_classifier(*command);
  flags->measures.text
      .own(command->add_option("--ppl", flags->ppl,
                               "Convention of perplexity: hf, lm-eval or llama.cpp"))
      ->capture_default_str();
  declare_edits(*command, *flags);
  flags->run.declare(*command);
  flags->output.declare(*command);
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { run_command(*flags); }; });
}

}  // namespace massact

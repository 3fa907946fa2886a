// `massact explain`: from a massive activation to the attention bias that it becomes.
#include "massact/cli/explain.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "massact/base/error.h"
#include "massact/base/whole_number.h"
#include "massact/cli/commands.h"
#include "massact/cli/output.h"
#include "massact/cli/validators.h"
#include "massact/report/explain_report.h"
#include "massact/report/model_hash.h"

namespace massact {
namespace {

constexpr const char* kExamples = R"(
Examples:
  massact explain models/mini-llama
  massact explain Llama-2-7b --text book.txt --finding 1 --out results
  massact explain gpt2 --map 4,0 --map 4,7 --out results    # attention maps as .npy and .png
  massact ablate gpt2 --plan results/explain-plan.json      # without the super weights it found)";

// A number that an int holds, as layers, heads and findings are counted.
int number_of(std::string_view text, std::string_view flag, std::string_view what) {
  const std::optional<std::int64_t> number = whole_number(text);
  if (!number || !std::in_range<int>(*number))
    fail_usage(flag, "expected {}, got '{}'", what, text);
  return static_cast<int>(*number);
}

// "LAYER,HEAD".
MapRequest parse_map(std::string_view text) {
  static constexpr std::string_view kWhat = "LAYER,HEAD such as 4,0";
  const auto comma = text.find(',');
  if (comma == std::string_view::npos) fail_usage("--map", "expected {}, got '{}'", kWhat, text);
  return {number_of(text.substr(0, comma), "--map", kWhat),
          number_of(text.substr(comma + 1), "--map", kWhat)};
}

ExplainOptions options_of(const ExplainFlags& flags) {
  ExplainOptions options = flags.options;
  options.run = flags.run.options();
  options.rule = Rule::parse(flags.rule);
  if (!flags.classes.empty()) options.classes = PositionLists::from_file(flags.classes);
  if (flags.finding != "all") {
    static constexpr std::string_view kWhat = "a number from 1, or all";
    options.finding = number_of(flags.finding, "--finding", kWhat);
    if (options.finding < 1) fail_usage("--finding", "expected {}, got '{}'", kWhat, flags.finding);
  }
  for (const std::string& map : flags.maps) options.maps.push_back(parse_map(map));
  return options;
}

void run_command(const ExplainFlags& flags) {
  if (!flags.maps.empty() && flags.output.out.empty()) {
    fail_usage("--map", "expected --out DIR to write maps to");
  }
  options_of(flags);  // wrong flags show before anything is read
  const Model model = flags.model.open();
  const std::string hash = hash_of(model);
  const Output output(flags.output, hash);

  const std::unique_ptr<Progress> progress = flags.output.progress();
  const ExplainResult result = explain(model, flags, *progress);

  output.deliver(
      explain_json_text(result, hash, output.directory() != nullptr),
      [&](const std::string& json) { return explain_files(result, json); },
      [&](const TextStyle& style) { return explain_text(result, style); });
}

void declare_steps(CLI::App& command, ExplainFlags& flags) {
  command.add_option("--finding", flags.finding, "Explain this finding only (1 is the strongest)")
      ->capture_default_str();
  declare_rule(command, flags.rule);
  flags.text.declare_classes(command, flags.classes);
  command
      .add_option("--trace", flags.options.traced,
                  "Scalars of a finding that are followed through the layers")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command
      .add_option("--sink-epsilon", flags.options.epsilon,
                  "A head is a sink if its queries give the first token more than this on average")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--sink-length", flags.options.sink_length,
                  "... of the first so many tokens of a sequence (default: 64; images: all)")
      ->check(CLI::Range(1, 1 << 20));
  command
      .add_option("--spike", flags.options.spike,
                  "Super weights: input and output of the down projection beyond this")
      ->check(zero_or_more())
      ->capture_default_str();
  flags.text
      .own(command.add_option(
          "--replace", flags.options.replace,
          "Sequences kept to test whether a constant does what the massive tokens do "
          "(default: one in 16, or the beginning of one; 0: no test)"))
      ->check(CLI::Range(0, 1 << 20));
  command.add_option("--map", flags.maps,
                     "LAYER,HEAD: attention logits and probabilities of the first sequence, and "
                     "their mean over heads, as .npy and .png (needs --out); may be repeated");
}

}  // namespace

ExplainResult explain(const Model& model, const ExplainFlags& flags, Progress& progress) {
  const ExplainOptions options = options_of(flags);
  if (reads_images(model, flags.text, flags.images)) {
    return run_explain(model, flags.images.read(model, flags.run.threads), options, progress);
  }
  return run_explain(model, flags.text.read(model), options, progress);
}

void add_explain(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "explain", "Explain a massive activation: who writes it, and the bias it becomes");
  auto flags = std::make_shared<ExplainFlags>();
  flags->model.declare(*command);
  flags->text.declare(*command);
  flags->images.declare(*command);
  declare_steps(*command, *flags);
  flags->run.declare(*command);
  flags->output.declare(*command);
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { run_command(*flags); }; });
}

}  // namespace massact

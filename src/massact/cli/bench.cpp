// `massact bench`: how fast this machine scans, on random weights of a well-known shape.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>

#include "massact/base/error.h"
#include "massact/cli/commands.h"
#include "massact/cli/flags.h"
#include "massact/cli/terminal.h"
#include "massact/cli/validators.h"
#include "massact/model/synthetic_model.h"
#include "massact/report/bench_report.h"
#include "massact/study/bench.h"

namespace massact {
namespace {

constexpr const char* kExamples = R"(
Examples:
  massact bench --shape llama2-7b --layers 2 --tokens 2048
  massact bench --shape gpt2 --tokens 1024 --observers off
  massact bench --shape vit-l-14 --sequences 64             # images
  massact bench --shape llama2-7b --file /tmp/random-7b     # writes 13.5 GB once, then reads it
  massact bench --shape llama2-70b --layers 80 --sequences 2 --memory 6GiB)";

struct BenchFlags {
  SyntheticOptions model;
  std::string type = "bf16";
  std::string file;
  bool synthetic = false;  // what happens without `file` anyway
  std::int64_t tokens = 0;
  std::int64_t sequences = 8;
  std::string observers = "on";
  RunFlags run;
  bool json = false;
  OutputFlags output;
};

// A model that is written first if it is not there yet.
Model open_file(const BenchFlags& flags, const SyntheticOptions& options, Progress& progress) {
  const std::filesystem::path directory = flags.file;
  if (!std::filesystem::exists(directory / "config.json")) {
    write_synthetic_model(options, directory, progress);
  }
  return open_model(directory);
}

void bench(const BenchFlags& flags) {
  SyntheticOptions options = flags.model;
  options.type = flags.type == "f32" ? DType::f32 : DType::bf16;
  const auto progress = flags.output.progress();
  const Model model =
      flags.file.empty() ? make_synthetic_model(options) : open_file(flags, options, *progress);
  const std::int64_t limit = model.config().max_positions;
  const bool images = model.config().is_vision();
  if (images && flags.tokens > 0)
    fail_usage("--tokens", "this shape reads images of {} tokens each: leave it out", limit);
  const std::int64_t most = images ? limit : std::min<std::int64_t>(limit, 2048);
  const std::int64_t tokens = flags.tokens > 0 ? flags.tokens : most;
  if (tokens > limit)
    fail_usage("--tokens", "expected at most {} for this shape, got {}", limit, tokens);
  const BenchResult result = run_bench(model,
                                       {.tokens = tokens,
                                        .sequences = flags.sequences,
                                        .observers = flags.observers == "on",
                                        .run = flags.run.options()},
                                       *progress);
  print(flags.json ? bench_to_json(result).dump(1) + "\n" : bench_text(result));
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "bench", "Measure how fast a scan is on a model of a well-known shape with random weights");
  auto flags = std::make_shared<BenchFlags>();
  command->add_option("--shape", flags->model.shape, "Whose shape")
      ->check(CLI::IsMember(synthetic_shapes()))
      ->capture_default_str();
  command->add_option("--layers", flags->model.layers, "Blocks (default: the shape's)")
      ->check(at_least_one());
  command->add_option("--weights", flags->type, "Type of the weights")
      ->check(CLI::IsMember({"bf16", "f32"}))
      ->capture_default_str();
  command
      ->add_option("--file", flags->file,
                   "A model directory to read; written first if it does not exist")
      ->type_name("DIR");
  command
      ->add_flag("--synthetic", flags->synthetic,
                 "Make weights block by block, so that no disk holds them (the default "
                 "without --file)")
      ->excludes("--file");
  command
      ->add_option("--tokens", flags->tokens,
                   "Tokens per sequence (default: the shape's limit, at most 2048)")
      ->check(at_least_one());
  command->add_option("--sequences", flags->sequences, "Sequences, or images")
      ->check(at_least_one())
      ->capture_default_str();
  command->add_option("--observers", flags->observers, "Watch what scan watches")
      ->check(CLI::IsMember({"on", "off"}))
      ->capture_default_str();
  flags->run.declare(*command);
  command->add_flag("--json", flags->json, "Print JSON");
  flags->output.declare_quiet(*command);
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { bench(*flags); }; });
}

}  // namespace massact

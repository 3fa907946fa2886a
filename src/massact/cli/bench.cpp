// `massact bench`: how fast this machine scans, on random weights of a well-known shape.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/cli/commands.h"
#include "massact/cli/flags.h"
#include "massact/cli/terminal.h"
#include "massact/cli/validators.h"
#include "massact/io/json.h"
#include "massact/io/json_text.h"
#include "massact/model/synthetic_model.h"
#include "massact/report/bench_report.h"
#include "massact/study/bench.h"

namespace massact {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 16u << 20;
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
  const CLI::Option* shape_flag = nullptr;
  const CLI::Option* layers_flag = nullptr;
  const CLI::Option* weights_flag = nullptr;
  bool synthetic = false;  // what happens without `file` anyway
  std::int64_t tokens = 0;
  std::int64_t sequences = 8;
  std::string observers = "on";
  RunFlags run;
  bool json = false;
  OutputFlags output;
};

std::string difference(std::string_view what, std::string_view there, std::string_view asked) {
  return fmt::format("{} {} (asked for: {})", what, there, asked);
}

// Where the model of --file is not what these flags ask for; what was not typed is not compared.
std::vector<std::string> differences(const BenchFlags& flags, const SyntheticOptions& asked,
                                     const Model& model) {
  std::vector<std::string> found;
  if (flags.shape_flag->count() > 0 && !std::filesystem::exists(model.path() / "config.json")) {
    found.push_back(difference("config.json", "absent", "written by --shape"));
  } else if (flags.shape_flag->count() > 0) {
    const auto there = JsonObject::from_file(model.path() / "config.json", kMaxConfigBytes);
    const nlohmann::json config = synthetic_config(asked);
    for (const auto& [key, value] : config.items()) {
      const nlohmann::json* field = there.find(key);
      if (field != nullptr && *field == value) continue;
      found.push_back(difference(key, field == nullptr ? "absent" : field->dump(), value.dump()));
    }
  } else if (flags.layers_flag->count() > 0 && model.config().layers != asked.layers) {
    found.push_back(difference("layers", fmt::format("{}", model.config().layers),
                               fmt::format("{}", asked.layers)));
  }
  if (flags.weights_flag->count() > 0) {
    const BoundWeights& weights = model.weights();
    const TensorInfo* info = weights.source().find(weights.source_name("blocks.0.attn.W_O"));
    const std::string there = info == nullptr ? "quantised" : info->encoding;
    const std::string_view type = asked.type == DType::f32 ? "F32" : "BF16";
    if (there != type) found.push_back(difference("weights", there, type));
  }
  return found;
}

// "--shape gpt2 --layers 2", as typed.
std::string asked_for(const BenchFlags& flags) {
  std::string out;
  for (const CLI::Option* flag : {flags.shape_flag, flags.layers_flag, flags.weights_flag}) {
    if (flag->count() == 0) continue;
    out += fmt::format("{}{} {}", out.empty() ? "" : " ", flag->get_name(), flag->results().back());
  }
  return out;
}

// Leaves no empty directory behind if the model could not be written.
void write_model(const SyntheticOptions& options, const std::filesystem::path& directory,
                 Progress& progress) {
  const bool was_there = std::filesystem::exists(directory);
  try {
    write_synthetic_model(options, directory, progress);
  } catch (...) {
    std::error_code ignored;
    if (!was_there) std::filesystem::remove(directory, ignored);
    throw;
  }
}

// A model that is written first if there is nothing yet.
Model open_file(const BenchFlags& flags, const SyntheticOptions& options, Progress& progress) {
  const std::filesystem::path directory = flags.file;
  if (!std::filesystem::exists(directory) ||
      (std::filesystem::is_directory(directory) && std::filesystem::is_empty(directory))) {
    write_model(options, directory, progress);
  }
  Model model = open_model(directory);
  const std::vector<std::string> other = differences(flags, options, model);
  if (!other.empty()) {
    fail_usage("--file",
               "expected the model of {} in {}, got another one: {} (name another directory, or "
               "leave these flags out to take what is there)",
               asked_for(flags), directory.string(), join(other));
  }
  return model;
}

void bench(const BenchFlags& flags) {
  SyntheticOptions options = flags.model;
  options.type = flags.type == "f32" ? DType::f32 : DType::bf16;
  const auto progress = flags.output.progress();
  const Model model =
      flags.file.empty() ? make_synthetic_model(options) : open_file(flags, options, *progress);
  const std::int64_t positions = model.config().max_positions;
  const std::int64_t limit = positions > 0 ? positions : std::numeric_limits<std::int64_t>::max();
  const bool images = model.config().is_vision();
  if (images && flags.tokens > 0)
    fail_usage("--tokens", "this model reads images of {} tokens each: leave it out", limit);
  const std::int64_t most = images ? limit : std::min<std::int64_t>(limit, 2048);
  const std::int64_t tokens = flags.tokens > 0 ? flags.tokens : most;
  if (tokens > limit)
    fail_usage("--tokens", "expected at most {} for this model, got {}", limit, tokens);
  const BenchResult result = run_bench(model,
                                       {.tokens = tokens,
                                        .sequences = flags.sequences,
                                        .observers = flags.observers == "on",
                                        .run = flags.run.options()},
                                       *progress);
  print(flags.json ? json_file_text(bench_to_json(result))
                   : bench_text(result, text_style_of(STDOUT_FILENO)));
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "bench", "Measure how fast a scan is on a model of a well-known shape with random weights");
  auto flags = std::make_shared<BenchFlags>();
  flags->shape_flag = command->add_option("--shape", flags->model.shape, "Whose shape")
                          ->check(CLI::IsMember(synthetic_shapes()))
                          ->capture_default_str();
  flags->layers_flag =
      command->add_option("--layers", flags->model.layers, "Blocks (default: the shape's)")
          ->check(at_least_one());
  flags->weights_flag = command->add_option("--weights", flags->type, "Type of the weights")
                            ->check(CLI::IsMember({"bf16", "f32"}))
                            ->capture_default_str();
  command
      ->add_option(
          "--file", flags->file,
          "A model directory to read; written first if it does not exist. Else the flags above, "
          "if given, must say what is there")
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

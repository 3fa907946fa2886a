#include "massact/cli/flags.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "massact/base/error.h"
#include "massact/base/units.h"
#include "massact/cli/default_text.h"
#include "massact/cli/progress_bar.h"
#include "massact/cli/terminal.h"
#include "massact/cli/validators.h"
#include "massact/study/image_input.h"

namespace massact {
namespace {

constexpr std::int64_t kDefaultSeqLen = 2048;
constexpr std::int64_t kMostThreads = 1024;  // more is a slip of the hand

std::string first_typed(const std::vector<const CLI::Option*>& options) {
  const auto typed = std::find_if(options.begin(), options.end(),
                                  [](const CLI::Option* option) { return option->count() > 0; });
  return typed == options.end() ? "" : (*typed)->get_name();
}

}  // namespace

void ModelFlags::declare(CLI::App& command) {
  command
      .add_option(
          "MODEL", model,
          "A directory with config.json, an HF cache folder, a .gguf, a PyTorch .pt or .pth, "
          "or a llama2.c .bin")
      ->required();
  command.add_option("--tokenizer", tokenizer,
                     "A tokenizer file or directory (default: beside the model)");
  command.add_option("--adapter", adapter, "A PEFT LoRA adapter's directory to merge");
}

Model ModelFlags::open() const {
  return open_model(model, {.tokenizer = tokenizer, .adapter = adapter});
}

void TextFlags::declare(CLI::App& command) {
  CLI::Option* text_flag = own(command.add_option(
      "--text", text, "Text files, - for stdin (default: a text that ships with the program)"));
  own(command.add_option("--tokens", tokens, "Token ids: .npy (1-D, 2-D) or nanoGPT .bin"))
      ->excludes(text_flag);
  declare_size(command);
  own(command.add_option("--bos", bos,
                         "BOS before every sequence; auto: as the tokenizer's configuration says"))
      ->check(CLI::IsMember({"auto", "yes", "no"}))
      ->capture_default_str();
}

void TextFlags::declare_size(CLI::App& command) {
  own(command.add_option(
          "--seq-len", seq_len,
          "Tokens per sequence, BOS included (default: the model's limit, at most 2048)"))
      ->check(at_least_one());
  own(command.add_option("--sequences", sequences, "How many sequences, from the start"))
      ->check(at_least_one())
      ->capture_default_str();
}

void TextFlags::declare_classes(CLI::App& command, std::string& classes) {
  own(command.add_option("--classes", classes,
                         "JSON with own lists of delimiter and weak tokens (docs/commands.md)"));
}

CLI::Option* TextFlags::own(CLI::Option* option) {
  options_.push_back(option);
  return option;
}

std::string TextFlags::typed() const { return first_typed(options_); }

std::int64_t TextFlags::effective_seq_len(const ModelConfig& config) const {
  const std::int64_t limit = config.max_positions;
  if (seq_len == 0) return limit > 0 ? std::min(limit, kDefaultSeqLen) : kDefaultSeqLen;
  if (limit > 0 && seq_len > limit) {
    fail_usage("--seq-len", "expected at most {}, the model's limit, got {}", limit, seq_len);
  }
  return seq_len;
}

BosPolicy TextFlags::bos_policy() const {
  if (bos == "yes") return BosPolicy::always;
  return bos == "no" ? BosPolicy::never : BosPolicy::automatic;
}

void declare_rule(CLI::App& command, std::string& rule) {
  command
      .add_option("--rule", rule,
                  "strict: |h| > 100 and >= 1000 x median; auto: a gap in the tail; or ABS,RATIO")
      ->capture_default_str();
}

void require_reads_text(const Model& model) {
  if (!model.config().is_vision()) return;
  fail_usage(model.name(),
             "expected a model that reads text: this one ({}) reads images (scan, trace, explain, "
             "ablate, registers and report take --images)",
             model.config().family);
}

Corpus TextFlags::read(const Model& model) const {
  require_reads_text(model);
  const CorpusOptions options{.seq_len = effective_seq_len(model.config()),
                              .max_sequences = sequences,
                              .bos = bos_policy(),
                              .keep_short = true};
  if (!tokens.empty()) {
    const Tokenizer* tokenizer = model.has_tokenizer() ? &model.tokenizer() : nullptr;
    return Corpus::from_tokens(tokens, model.config().vocab, options, tokenizer);
  }
  if (text.empty()) {
    return Corpus::from_text(std::string(default_text()), "the text that ships with massact",
                             model.tokenizer(), options);
  }
  const std::vector<std::filesystem::path> paths(text.begin(), text.end());
  return Corpus::from_files(paths, model.tokenizer(), options);
}

void ImageFlags::declare(CLI::App& command) {
  options_.push_back(command.add_option(
      "--images", paths,
      "Of vision models: folders (one per class: labels), .csv lists, JPEG, PNG, WebP files"));
  options_.push_back(
      command
          .add_option("--max-images", max_images,
                      "At most so many: the first, of labelled ones spread over all classes")
          ->check(at_least_one()));
  options_.push_back(
      command.add_flag("--skip-bad", skip_bad, "Leave broken images out, and list them"));
}

void ImageFlags::declare_classifier(CLI::App& command) {
  options_.push_back(command.add_option(
      "--class-names", class_names,
      "Classes in order, one a line: for CLIP and SigLIP zero-shot, else what labels mean"));
  options_.push_back(command.add_option(
      "--templates", templates,
      "Prompts of zero-shot, one a line, {} for the class (default: \"a photo of a {}.\")"));
  options_.push_back(command.add_option(
      "--head", head, "A linear classifier's file, as DINOv2's (dinov2_vitb14_linear_head.pth)"));
}

std::string ImageFlags::typed() const { return first_typed(options_); }

std::shared_ptr<const ImageFiles> ImageFlags::read(const Model& model,
                                                   const std::vector<std::string>& from,
                                                   int threads) const {
  ImageFilesOptions options{.skip_bad = skip_bad};
  if (max_images > 0) options.max_images = max_images;
  const std::vector<std::filesystem::path> files(from.begin(), from.end());
  Threads pool(threads);
  return std::make_shared<const ImageFiles>(list_images(files), preprocess_of(model), options,
                                            pool);
}

bool reads_images(const Model& model, const TextFlags& text, const ImageFlags& images) {
  if (!model.config().is_vision()) {
    const std::string typed = images.typed();
    if (!typed.empty()) {
      fail_usage(typed, "expected text: {} ({}) reads no images (give --text)", model.name(),
                 model.config().family);
    }
    return false;
  }
  const std::string typed = text.typed();
  if (!typed.empty()) {
    fail_usage(typed, "this is for text: {} ({}) reads no text, only images (--images)",
               model.name(), model.config().family);
  }
  if (images.paths.empty()) {
    fail_usage("--images", "expected images for {} ({}): folders, .csv lists or files, got none",
               model.name(), model.config().family);
  }
  return true;
}

void RunFlags::declare(CLI::App& command) {
  command
      .add_option(
          "--precision", precision,
          "Of matrix products; auto: bf16 for weights of 16 bits or fewer if the CPU has it; "
          "int8 is an experiment that loses what massive activations leave of a row")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}))
      ->capture_default_str();
  command.add_option("--threads", threads, "Default: all CPUs this process may use")
      ->check(at_least_one(kMostThreads));
  command.add_option("--memory", memory, "Budget such as 3GiB (default: 3/4 of the RAM)");
}

RunOptions RunFlags::options() const {
  RunOptions options;
  if (precision == "f32") options.precision = ops::Precision::f32;
  if (precision == "bf16") options.precision = ops::Precision::bf16;
  if (precision == "int8") options.precision = ops::Precision::int8;
  options.threads = threads;
  if (!memory.empty()) options.memory = parse_bytes(memory, "--memory");
  return options;
}

void OutputFlags::declare(CLI::App& command) {
  command.add_option("--out", out, "Write the report's files into this directory");
  command.add_flag("--force", force, "Write there even if it holds another model's results");
  command.add_flag("--json", json, "Print the result as JSON instead of a table");
  declare_quiet(command);
}

void OutputFlags::declare_quiet(CLI::App& command) {
  command.add_flag("--quiet", quiet, "No progress, no remarks");
}

std::unique_ptr<Progress> OutputFlags::progress() const {
  if (quiet || !is_terminal(STDERR_FILENO)) return std::make_unique<NoProgress>();
  return std::make_unique<ProgressBar>(text_style_of(STDERR_FILENO));
}

}  // namespace massact

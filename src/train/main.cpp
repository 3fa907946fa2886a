// massact-train: trains GPT-2, Llama and vision transformers with every attention variant.
#include <ATen/Parallel.h>
#include <malloc.h>

#include <string_view>

#include "massact/base/error.h"
#include "massact/base/threads.h"
#include "massact/cli/default_text.h"
#include "massact/io/atomic_file.h"
#include "train/export.h"
#include "train/logits.h"
#include "train/loop.h"
#include "train/prepare_program.h"
#include "train/presets.h"
#include "train/program.h"
#include "train/source.h"

namespace {

using namespace massact;
using namespace massact::train;

constexpr const char* kProgram = "massact-train";
constexpr int kInterruptedStatus = 130;
constexpr const char* kFooter = R"(
Examples:
  massact-train run --preset smoke
  massact-train prepare --text books/*.txt --out data
  massact-train run --preset mini-llama --data data --out run
  massact-train run --arch vit --registers 4 --data procedural --out vit
  massact-train prepare --images procedural --count 500 --out images
  massact-train export --checkpoint run/latest --out model --bf16
  massact scan run/latest)";

/// Keeps large temporaries in the heap: by default glibc maps and unmaps every block above 128 KiB
/// afresh, which makes elementwise operations several times slower.
void keep_large_blocks() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
}

struct RunFlags {
  RunOptions options;
  std::string preset;
  std::vector<std::string> texts;
  std::int64_t vocab_size = 2048;
  std::string architecture;
  std::string attention;
  std::string device = "cpu";
  int threads = 0;
  bool no_bos = false;
  bool mlp_given = false;
};

void apply_preset(RunFlags& flags, const std::string& name) {
  const Preset& preset = find_preset(name);
  flags.preset = name;
  flags.options.model = preset.model;
  flags.options.train = preset.train;
  flags.vocab_size = preset.vocab_size;
}

/// `--text` prepares into OUT/data, once. The smoke preset can do without: it takes the text that
/// massact scans by default.
void prepare_beside(RunFlags& flags) {
  auto& o = flags.options;
  if (!o.data.empty() && !flags.texts.empty()) {
    fail_usage("--data", "expected either --data (from prepare) or --text, got both");
  }
  if (!o.data.empty()) return;
  if (o.model.architecture == Architecture::vit) {
    if (!flags.texts.empty()) fail_usage("--text", "expected none for vit");
    o.data = kProceduralData;
    return;
  }
  o.data = o.out / "data";
  if (std::filesystem::exists(o.data / "data.json")) return;
  std::vector<std::string> arguments{"--out", o.data.string(), "--vocab-size",
                                     std::to_string(flags.vocab_size)};
  if (flags.texts.empty()) {
    if (flags.preset != kSmokePreset) {
      fail_usage("--data", "expected --data (from prepare) or --text, got neither");
    }
    std::filesystem::create_directories(o.data);
    flags.texts = {(o.data / "text.txt").string()};
    write_file_atomically(flags.texts[0], default_text());
    // A short text: hold out enough for one sequence.
    arguments.insert(arguments.end(), {"--val-fraction", "0.1"});
  }
  arguments.push_back("--text");
  arguments.insert(arguments.end(), flags.texts.begin(), flags.texts.end());
  const int status = run_prepare_program(arguments);
  if (status == kInterruptedStatus) throw Interrupted();
  require(status == 0, "--text", "expected to prepare the text, got exit status {}", status);
}

/// libtorch's errors carry a stack trace for its developers.
template <typename Work>
void without_stack_trace(const Work& work) {
  try {
    work();
  } catch (const c10::Error& error) {
    fail("libtorch", "{}", error.what_without_backtrace());
  }
}

void run_command(RunFlags& flags) {
  auto& o = flags.options;
  if (!flags.architecture.empty()) {
    o.model.architecture = parse_architecture(flags.architecture, "--arch");
  }
  if (!flags.attention.empty()) o.model.attention = parse_attention(flags.attention, "--attention");
  settle(o.model);
  if (o.model.architecture == Architecture::vit && !flags.mlp_given) {
    o.model.mlp = 4 * o.model.width;
  }
  if (flags.no_bos) o.train.bos = false;
  if (o.out.empty()) o.out = "massact-out/train-" + (flags.preset.empty() ? "run" : flags.preset);
  try {
    o.device = at::Device(flags.device);
  } catch (const c10::Error&) {
    fail_usage("--device", "expected cpu, cuda or cuda:N, got \"{}\"", flags.device);
  }
  at::set_num_threads(flags.threads > 0 ? flags.threads : available_cpus());
  prepare_beside(flags);
  run_training(o, say);
}

void add_model_flags(CLI::App& cmd, RunFlags& flags) {
  auto& model = flags.options.model;
  cmd.add_option("--arch", flags.architecture, "gpt2, llama or vit");
  cmd.add_option("--attention", flags.attention, "Attention variant: default, eab, …");
  cmd.add_option("--layers", model.layers, "Blocks");
  cmd.add_option("--width", model.width, "Size of the residual stream");
  cmd.add_option("--heads", model.heads, "Attention heads");
  cmd.add_option("--kv-heads", model.kv_heads, "Key and value heads (llama)");
  cmd.add_option("--mlp", model.mlp, "Size of the MLP (vit: 4 x width unless given)");
  cmd.add_option("--context", model.context, "Sequence length, BOS included");
  cmd.add_option("--image-size", model.image_size, "vit: pixels per side");
  cmd.add_option("--patch", model.patch, "vit: pixels per side of a patch");
  cmd.add_option("--registers", model.registers, "vit: register tokens behind CLS");
  cmd.add_option("--layer-scale", model.layer_scale, "vit: LayerScale's first value");
  cmd.add_flag("--tied", model.tied, "Output weights are the embedding's");
  cmd.add_option("--clip-gamma", model.clip_gamma, "clipped-softmax: lower end");
  cmd.add_option("--clip-eta", model.clip_eta, "clipped-softmax: upper end");
}

void add_train_flags(CLI::App& cmd, RunFlags& flags) {
  auto& train = flags.options.train;
  cmd.add_option("--steps", train.steps, "Optimiser steps");
  cmd.add_option("--batch", train.batch, "Sequences or images per rank and micro-batch");
  cmd.add_option("--accumulation", train.accumulation, "Micro-batches per step");
  cmd.add_option("--lr", train.lr, "Highest learning rate");
  cmd.add_option("--min-lr", train.min_lr, "Learning rate at the end");
  cmd.add_option("--warmup", train.warmup, "Steps of linear warm-up");
  cmd.add_option("--beta1", train.beta1, "AdamW");
  cmd.add_option("--beta2", train.beta2, "AdamW");
  cmd.add_option("--adam-eps", train.adam_eps, "AdamW");
  cmd.add_option("--weight-decay", train.weight_decay, "On tensors with at least 2 dimensions");
  cmd.add_option("--clip", train.clip, "Largest gradient norm; 0: any");
  cmd.add_option("--seed", train.seed, "Of initial weights and batches");
  cmd.add_flag("--bf16", train.bf16, "Matrix products in bfloat16 (autocast)");
  cmd.add_flag("--no-bos", flags.no_bos, "No BOS in front of every sequence");
  cmd.add_option("--eval-sequences", train.eval_sequences,
                 "Held-out chunks or images per evaluation");
  cmd.add_option("--eval-interval", train.eval_interval, "Steps between evaluations");
  cmd.add_option("--monitor-interval", train.monitor_interval,
                 "Steps between readings of the massive-activation monitor");
  cmd.add_option("--checkpoint-interval", train.checkpoint_interval, "Steps between checkpoints");
}

void add_run(CLI::App& app, RunFlags& flags) {
  auto* cmd = app.add_subcommand("run", "Train a model");
  std::string names;
  for (const auto& preset : presets()) names += "\n  " + preset.name + ": " + preset.purpose;
  // The preset is applied while parsing, all other flags after it: they change what it says.
  cmd->add_option_function<std::string>(
         "--preset", [&flags](const std::string& name) { apply_preset(flags, name); },
         "Settings to start from:" + names)
      ->trigger_on_parse();
  cmd->add_option("--data", flags.options.data,
                  "Folder written by prepare; vit: procedural (the default)");
  cmd->add_option("--text", flags.texts, "Text files instead: prepared into OUT/data");
  cmd->add_option("--vocab-size", flags.vocab_size, "With --text: size of the BPE vocabulary");
  cmd->add_option("--out", flags.options.out,
                  "Folder of the run (default: massact-out/train-PRESET)");
  cmd->add_flag("--resume", flags.options.resume, "Go on from the newest checkpoint in --out");
  cmd->add_option("--device", flags.device, "cpu, cuda, cuda:1, …");
  cmd->add_option("--threads", flags.threads, "0: all CPUs this process may use");
  add_model_flags(*cmd, flags);
  add_train_flags(*cmd, flags);
  cmd->callback([&flags, cmd] {
    flags.mlp_given = cmd->count("--mlp") > 0;
    without_stack_trace([&] { run_command(flags); });
  });
}

void add_export(CLI::App& app, ExportOptions& o) {
  auto* cmd = app.add_subcommand("export", "Copy a checkpoint without the optimiser's state");
  cmd->add_option("--checkpoint", o.checkpoint, "RUN/latest")->required();
  cmd->add_option("--out", o.out, "Folder to write")->required();
  cmd->add_flag("--bf16", o.bf16, "Store weights in bfloat16");
  cmd->callback([&o] { without_stack_trace([&] { export_checkpoint(o); }); });
}

void add_logits(CLI::App& app, LogitsOptions& o) {
  auto* cmd = app.add_subcommand(
      "logits", "Write a checkpoint's logits for one token sequence, or for images");
  cmd->add_option("--checkpoint", o.checkpoint, "RUN/latest, or an exported model")->required();
  cmd->add_option("--ids", o.ids, "Token ids, separated by commas")->delimiter(',');
  cmd->add_option("--images", o.images, "vit: numbers of held-out images, separated by commas")
      ->delimiter(',');
  cmd->add_option("--out", o.out,
                  "File to write (.npy, float32, tokens x vocabulary or images x classes)")
      ->required();
  cmd->callback([&o] { without_stack_trace([&] { write_logits(o); }); });
}

int do_line(int argc, char** argv) {
  // All of the line belongs to the other program, --help included.
  if (argc > 1 && std::string_view(argv[1]) == "prepare") {
    become_prepare_program({argv + 2, argv + argc});
  }
  CLI::App app("Trains GPT-2, Llama and vision transformers with every attention variant",
               kProgram);
  app.footer(kFooter);
  app.require_subcommand(1);
  RunFlags run_flags;
  ExportOptions export_options;
  LogitsOptions logits_options;
  app.add_subcommand("prepare", "Tokenise text files for training, or write images");
  add_run(app, run_flags);
  add_export(app, export_options);
  add_logits(app, logits_options);
  return parse_and_run(app, argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
  keep_large_blocks();
  return run_program(kProgram, "stopped; --resume goes on", [&] { return do_line(argc, argv); });
}

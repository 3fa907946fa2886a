// massact-train: trains GPT-2 and Llama with every attention variant.
#include <ATen/Parallel.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/base/threads.h"
#include "train/loop.h"
#include "train/prepare.h"

namespace {

using namespace massact;
using namespace massact::train;

/// Keeps large temporaries in the heap: by default glibc maps and unmaps every block above 128 KiB
/// afresh, which makes elementwise operations several times slower.
void keep_large_blocks() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
}

void say(const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
}

void add_prepare(CLI::App& app, PrepareOptions& o) {
  auto* cmd = app.add_subcommand("prepare", "Tokenise text files for training");
  cmd->add_option("--text", o.texts, "Text files")->required();
  cmd->add_option("--out", o.out, "Folder to write")->required();
  cmd->add_option("--vocab-size", o.vocab_size, "Size of the BPE vocabulary to train");
  cmd->add_option("--tokenizer", o.tokenizer, "Use this tokenizer.model instead");
  cmd->add_option("--val-fraction", o.val_fraction, "End of every text that is held out");
  cmd->add_option("--seed", o.seed, "Seed of the tokenizer's sampling");
  cmd->callback([&o] { prepare(o, say); });
}

struct RunFlags {
  RunOptions options;
  std::string architecture = "llama";
  std::string attention = "default";
  std::string device = "cpu";
  int threads = 0;
  bool no_bos = false;
};

void run_command(RunFlags& flags) {
  auto& o = flags.options;
  o.model.architecture = parse_architecture(flags.architecture, "--arch");
  o.model.attention = parse_attention(flags.attention, "--attention");
  if (o.model.architecture == Architecture::gpt2) o.model.tied = true;
  o.train.bos = !flags.no_bos;
  o.device = at::Device(flags.device);
  at::set_num_threads(flags.threads > 0 ? flags.threads : available_cpus());
  run_training(o, say);
}

void add_run(CLI::App& app, RunFlags& flags) {
  auto* cmd = app.add_subcommand("run", "Train a model");
  auto& model = flags.options.model;
  auto& train = flags.options.train;
  cmd->add_option("--data", flags.options.data, "Folder written by prepare")->required();
  cmd->add_option("--out", flags.options.out, "Folder of the run")->required();
  cmd->add_flag("--resume", flags.options.resume, "Go on from the newest checkpoint in --out");
  cmd->add_option("--arch", flags.architecture, "gpt2 or llama");
  cmd->add_option("--attention", flags.attention, "Attention variant");
  cmd->add_option("--layers", model.layers);
  cmd->add_option("--width", model.width);
  cmd->add_option("--heads", model.heads);
  cmd->add_option("--kv-heads", model.kv_heads);
  cmd->add_option("--mlp", model.mlp);
  cmd->add_option("--context", model.context, "Sequence length, BOS included");
  cmd->add_flag("--tied", model.tied, "Output weights are the embedding's");
  cmd->add_option("--clip-gamma", model.clip_gamma);
  cmd->add_option("--clip-eta", model.clip_eta);
  cmd->add_option("--steps", train.steps);
  cmd->add_option("--batch", train.batch, "Sequences per rank and micro-batch");
  cmd->add_option("--accumulation", train.accumulation, "Micro-batches per step");
  cmd->add_option("--lr", train.lr);
  cmd->add_option("--min-lr", train.min_lr);
  cmd->add_option("--warmup", train.warmup);
  cmd->add_option("--beta1", train.beta1);
  cmd->add_option("--beta2", train.beta2);
  cmd->add_option("--adam-eps", train.adam_eps);
  cmd->add_option("--weight-decay", train.weight_decay);
  cmd->add_option("--clip", train.clip);
  cmd->add_option("--seed", train.seed);
  cmd->add_flag("--bf16", train.bf16, "Matrix products in bfloat16 (autocast)");
  cmd->add_flag("--no-bos", flags.no_bos, "No BOS in front of every sequence");
  cmd->add_option("--eval-sequences", train.eval_sequences);
  cmd->add_option("--eval-interval", train.eval_interval);
  cmd->add_option("--monitor-interval", train.monitor_interval);
  cmd->add_option("--checkpoint-interval", train.checkpoint_interval);
  cmd->add_option("--device", flags.device, "cpu, cuda, cuda:1, …");
  cmd->add_option("--threads", flags.threads, "0: all CPUs this process may use");
  cmd->callback([&flags] { run_command(flags); });
}

}  // namespace

int main(int argc, char** argv) {
  keep_large_blocks();
  std::signal(SIGINT, [](int) { request_interrupt(); });
  std::signal(SIGTERM, [](int) { request_interrupt(); });
  CLI::App app("Trains GPT-2 and Llama models with every attention variant", "massact-train");
  app.require_subcommand(1);
  PrepareOptions prepare_options;
  RunFlags run_flags;
  add_prepare(app, prepare_options);
  add_run(app, run_flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const UsageError& error) {
    say(error.what());
    return 2;
  } catch (const Interrupted& error) {
    say("stopped; the run continues with --resume");
    return 130;
  } catch (const std::exception& error) {
    say(error.what());
    return 1;
  }
  return 0;
}

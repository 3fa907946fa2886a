// `massact eval`: perplexity and multiple choice of a model as it is.
#include "massact/study/eval.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "massact/cli/commands.h"
#include "massact/cli/measure_flags.h"
#include "massact/cli/output.h"
#include "massact/report/eval_json.h"
#include "massact/report/eval_text.h"
#include "massact/report/model_hash.h"

namespace massact {
namespace {

constexpr const char* kExamples = R"(
Examples:
  massact eval models/mini-llama
  massact eval Llama-2-7b --text wiki.test.raw --wikitext-rows --ppl hf --seq-len 4096
  massact eval gpt2 --text book.txt --ppl lm-eval,llama.cpp --bos yes --out results
  massact eval gpt2 --task piqa=valid.jsonl --task hellaswag=hellaswag_val.jsonl --json)";

struct EvalFlags {
  ModelFlags model;
  MeasureFlags measures;
  RunFlags run;
  OutputFlags output;
  std::string ppl;
};

// As asked for, else all that go with the model and the other flags.
std::vector<eval::Convention> conventions_of(const EvalFlags& flags, const Model& model) {
  if (!flags.ppl.empty()) return parse_conventions(flags.ppl, "--ppl");
  std::vector<eval::Convention> conventions = {eval::Convention::hf, eval::Convention::llama_cpp};
  const bool has_prefix =
      model.has_tokenizer() && (model.tokenizer().bos() || model.tokenizer().eos());
  if (has_prefix && flags.measures.text.bos != "no") {
    conventions.insert(conventions.begin() + 1, eval::Convention::lm_eval);
  }
  return conventions;
}

MeasureSet read_measures(const EvalFlags& flags, const Model& model) {
  MeasureSet set;
  const bool only_tasks =
      !flags.measures.tasks.empty() && !flags.measures.has_text() && flags.ppl.empty();
  if (!only_tasks) {
    for (const auto convention : conventions_of(flags, model)) {
      PerplexityRequest request = flags.measures.request(convention);
      const TokenStreams streams = flags.measures.read(model, request);
      set.add(model, streams, request);
    }
  }
  for (TaskRequest& task : flags.measures.read_tasks()) {
    set.add(model, std::move(task), flags.measures.text.bos_policy());
  }
  return set;
}

void run_command(const EvalFlags& flags) {
  const RunOptions options = flags.run.options();
  const Model model = flags.model.open();
  require_reads_text(model);
  const std::string hash = hash_of(model);
  const Output output(flags.output, hash);
  const MeasureSet set = read_measures(flags, model);
  const std::unique_ptr<Progress> progress = flags.output.progress();
  const EvalResult result = run_eval(model, set, options, *progress);
  output.deliver(
      eval_json_text(result, hash),
      [&](const std::string& json) {
        return std::vector<ResultFile>{{"eval.json", json}};
      },
      [&](const TextStyle& style) { return eval_text(result, style); });
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("eval", "Measure perplexity and multiple choice");
  auto flags = std::make_shared<EvalFlags>();
  flags->model.declare(*command);
  flags->measures.declare(*command);
  command->add_option("--ppl", flags->ppl,
                      "Conventions of perplexity: hf, lm-eval, llama.cpp, or several with commas "
                      "(default: all; none if only --task is given)");
  flags->run.declare(*command);
  flags->output.declare(*command);
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { run_command(*flags); }; });
}

}  // namespace massact

// The whole of `massact explain` against a scan, on a model of a well-known shape with random
// weights: explain_bench [shape] [layers] [sequences] [tokens] [threads]
//
// Random weights have no massive activations: the rule is lowered until a few tokens of each
// sequence meet it, so that every step has something to do.
#include <fmt/format.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <random>

#include "massact/base/clock.h"
#include "massact/io/npy.h"
#include "massact/model/synthetic_model.h"
#include "massact/study/explain.h"
#include "massact/study/scan.h"

namespace massact {
namespace {

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

struct Measured {
  double wall = 0.0, cpu = 0.0;
};

template <typename Work>
Measured measure(const Work& work) {
  const Stopwatch clock;
  const double before = cpu_seconds();
  work();
  return {clock.seconds(), cpu_seconds() - before};
}

Corpus random_corpus(const Model& model, std::int64_t sequences, std::int64_t tokens) {
  std::mt19937 generator(0);
  std::uniform_int_distribution<std::int64_t> any(0, model.config().vocab - 1);
  std::vector<std::int64_t> ids(static_cast<std::size_t>(sequences * tokens));
  for (std::int64_t& id : ids) id = any(generator);
  const auto file = std::filesystem::temp_directory_path() / "massact-explain-bench.npy";
  write_npy(file, Shape({sequences, tokens}), ids);
  Corpus corpus = Corpus::from_tokens(file, model.config().vocab, {.seq_len = tokens});
  std::filesystem::remove(file);
  return corpus;
}

// A little below the largest |h| / median of the sequence whose largest is smallest, behind the
// first block.
Rule low_rule(const ScanResult& scan) {
  double ratio = 1e30;
  for (const SequenceRow& row : scan.layers.at(1).sequences) {
    ratio = std::min(ratio, row.top[0] / row.median);
  }
  return Rule::thresholds(0.0, 0.95 * ratio);
}

int compare(int argc, char** argv) {
  const auto number = [&](int i, std::int64_t otherwise) {
    return argc > i ? std::atoll(argv[i]) : otherwise;
  };
  const std::string shape = argc > 1 ? argv[1] : "llama2-7b";
  const std::int64_t layers = number(2, 4), sequences = number(3, 8), tokens = number(4, 2048);
  const Model model = make_synthetic_model({.shape = shape, .layers = layers});
  const Corpus corpus = random_corpus(model, sequences, tokens);
  RunOptions options;
  options.threads = static_cast<int>(number(5, 0));
  NoProgress progress;
  ScanOptions scan_options;
  scan_options.run = options;
  ScanResult scan;
  const Measured plain = measure([&] { scan = run_scan(model, corpus, scan_options, progress); });
  const Rule rule = low_rule(scan);
  fmt::print("{} layers of {}, {} x {} tokens, {} threads, rule {}\n", layers, shape, sequences,
             tokens, scan.facts.threads, rule.to_string());
  fmt::print("{:28} {:>8} {:>8} {:>8} {:>8}\n", "", "wall s", "CPU s", "/ scan", "CPU /");
  const auto print = [&](const char* name, const Measured& m) {
    fmt::print("{:28} {:8.2f} {:8.2f} {:8.2f} {:8.2f}\n", name, m.wall, m.cpu, m.wall / plain.wall,
               m.cpu / plain.cpu);
  };
  print("scan", plain);
  ExplainResult result;
  print("explain --replace 0", measure([&] {
          result =
              run_explain(model, corpus, {.run = options, .rule = rule, .replace = 0}, progress);
        }));
  print("explain", measure([&] {
          result = run_explain(model, corpus, {.run = options, .rule = rule}, progress);
        }));
  fmt::print("{} findings, {:.1f} massive tokens per sequence, {} extra passes\n",
             result.findings.size(), result.massive_tokens, result.extra_passes);
  return 0;
}

}  // namespace
}  // namespace massact

int main(int argc, char** argv) { return massact::compare(argc, argv); }

// Finds a model's massive activations: find MODEL TEXT
#include <fmt/format.h>

#include <filesystem>

#include "massact/massact.h"

int main(int argc, char** argv) try {
  if (argc != 3) return 2;
  const auto model = massact::open_model(argv[1]);
  const std::vector<std::filesystem::path> files = {argv[2]};
  const auto text = massact::Corpus::from_files(
      files, model.tokenizer(), {.seq_len = 64, .max_sequences = 8, .keep_short = true});
  massact::NoProgress progress;
  const auto scan = massact::run_scan(model, text, {.rule = massact::Rule::strict()}, progress);
  for (const massact::Finding& found : scan.findings.findings) {
    fmt::print("layer {}, dimension {}, {} token: {}\n", found.peak_layer, found.dimension,
               found.position_class, found.mean);
  }
  return 0;
} catch (const massact::Error& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}

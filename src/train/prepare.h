// Text files -> tokenizer, train.bin, val.bin and data.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace massact::train {

struct PrepareOptions {
  std::vector<std::filesystem::path> texts;
  std::filesystem::path out;
  std::int64_t vocab_size = 2048;   // of the tokenizer to train
  std::filesystem::path tokenizer;  // an existing tokenizer.json or .model; empty: train one
  double val_fraction = 0.02;       // the end of every text
  std::uint64_t seed = 1;           // sampling of lines for the tokenizer's trainer
};

/// Writes `options.out`. Throws Error if a text is unreadable or too small for the vocabulary.
/// `log` receives a line per stage.
void prepare(const PrepareOptions& options, const std::function<void(const std::string&)>& log);

}  // namespace massact::train

// A checkpoint as others use it: model and tokenizer, without the optimiser.
#pragma once

#include <filesystem>

namespace massact::train {

struct ExportOptions {
  std::filesystem::path checkpoint;
  std::filesystem::path out;
  bool bf16 = false;
};

/// Writes config.json, model.safetensors and the tokenizer's files of `checkpoint` into `out`.
void export_checkpoint(const ExportOptions& options);

}  // namespace massact::train

// Logits of a checkpoint, for comparing libtorch with other programs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace massact::train {

struct LogitsOptions {
  std::filesystem::path checkpoint;
  std::vector<std::int64_t> ids;     // one sequence of tokens
  std::vector<std::int64_t> images;  // vit: numbers of held-out procedural images
  std::filesystem::path out;         // .npy, float32 [tokens, vocab] or [images, classes]
};

/// Runs the model of `checkpoint` in float32 and writes its logits. Throws UsageError if it is
/// given what the model does not take.
void write_logits(const LogitsOptions& options);

}  // namespace massact::train

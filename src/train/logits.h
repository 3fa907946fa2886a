// Logits of a checkpoint, for comparing libtorch with other programs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace massact::train {

struct LogitsOptions {
  std::filesystem::path checkpoint;
  std::vector<std::int64_t> ids;  // one sequence
  std::filesystem::path out;      // .npy, float32 [T, vocab]
};

/// Runs the model of `checkpoint` in float32 and writes its logits.
void write_logits(const LogitsOptions& options);

}  // namespace massact::train

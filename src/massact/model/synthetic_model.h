// Models of well-known shapes with random weights: for benchmarks and for trying what a machine can
// hold. What such a model computes means nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "massact/base/progress.h"
#include "massact/model/model.h"

namespace massact {

/// "gpt2", "llama2-7b", …: what `shape` may be below.
std::vector<std::string> synthetic_shapes();

struct SyntheticOptions {
  std::string shape = "llama2-7b";
  std::int64_t layers = 0;  ///< 0: as many as the shape has
  DType type = DType::bf16;
};

/// Its config.json as Hugging Face writes it. Throws UsageError for an unknown shape.
nlohmann::json synthetic_config(const SyntheticOptions& options);

/// A model whose weights exist only while they are read: a 70B model needs no disk and no more
/// memory than one block. Throws UsageError for an unknown shape.
Model make_synthetic_model(const SyntheticOptions& options);

/// The same model as an HF directory with one safetensors file. Throws Error if the directory
/// cannot be made or written.
void write_synthetic_model(const SyntheticOptions& options, const std::filesystem::path& directory,
                           Progress& progress);

}  // namespace massact

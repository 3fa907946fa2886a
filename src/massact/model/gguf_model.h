// GGUF models in the words of the families: metadata as an HF-like config, tensors by llama.cpp's
// names.
#pragma once

#include "massact/io/gguf.h"
#include "massact/model/config.h"
#include "massact/model/weight_table.h"

namespace massact {

struct GgufArchitecture {
  ModelConfig config;
  WeightTable table;  ///< sources are the file's names
};

/// Reads architecture, sizes and options from the metadata of a llama (also Mistral), qwen2 or gpt2
/// file. Throws Error naming file and key. That the output head is tied to the embedding is the
/// format's only statement made by a missing tensor (`output.weight`).
GgufArchitecture read_gguf_architecture(const GgufSource& source);

}  // namespace massact

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

/// Reads architecture, sizes and options from the metadata of one of the architectures of
/// gguf_config.cpp. Throws Error naming file and key. What the format says by tensors only: that
/// the output head is the embedding (no `output.weight`), that queries, keys and values are one
/// tensor, and a few families' biases and norms.
GgufArchitecture read_gguf_architecture(const GgufSource& source);

}  // namespace massact

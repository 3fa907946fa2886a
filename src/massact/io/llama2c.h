// The checkpoint format of karpathy/llama2.c, version 0 ("legacy"): seven int32, then float32.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "massact/io/weight_source.h"

namespace massact {

struct Llama2cConfig {
  std::int64_t dim = 0;
  std::int64_t hidden_dim = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t vocab = 0;
  std::int64_t seq_len = 0;
  /// True if the output head is the token embedding.
  bool tied_head = true;

  std::int64_t head_size() const { return dim / heads; }
  /// Not in the file; what llama2.c uses.
  static constexpr double kRotaryBase = 10000.0;
  static constexpr double kNormEpsilon = 1e-5;
};

struct Llama2cModel {
  Llama2cConfig config;
  /// Under the names and with the shapes that HF's llama uses: `model.embed_tokens.weight`,
  /// `model.layers.0.self_attn.q_proj.weight`, …, `model.norm.weight`, and `lm_head.weight` only
  /// if the head is not tied. Rows of the queries' and keys' weights are in the file's order, made
  /// for a rotary embedding of neighbouring pairs (2i, 2i + 1) of a head; HF's rotates (i, i +
  /// c/2).
  std::unique_ptr<WeightSource> weights;
};

/// Opens and checks a checkpoint: the file must have exactly the size that its header implies.
Llama2cModel open_llama2c(const std::filesystem::path& path);

}  // namespace massact
